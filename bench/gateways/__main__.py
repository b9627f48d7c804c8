"""`python -m bench.gateways`: one gateway after the other on core 0, its upstream and the load on core 1, and a table.

Needs wrk and nginx (`apt-get install wrk nginx`); what is missing is left out, and said. QUOTH_BENCH_PEERS names the
Python of the peers' environment, where LiteLLM's proxy, granian and pyreqwest are. `make bench` sets that up.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.gateways.load import WORKS, LoadFailed, Work, streams, wrk
from bench.gateways.report import table
from bench.gateways.subjects import SUBJECTS, Running, Subject, Unstarted, running
from bench.report import load, machine
from bench.run import cores, interpreters, upstream

BEGIN, END = "<!-- bench gateways: begin -->", "<!-- bench gateways: end -->"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gateways", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each figure is taken (5)")
    parser.add_argument("--seconds", type=int, default=2, help="how long each load lasts (2)")
    parser.add_argument("--who", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="only these gateways")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS), help="only these kinds of work")
    parser.add_argument("--growth", action="store_true", help="also: memory from request 20,000 to 220,000 (Quoth)")
    parser.add_argument("--json", type=Path, default=Path("dist/bench-gateways.json"))
    parser.add_argument("--doc", type=Path, help="put the tables between the marks of this Markdown file")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        say("wrk is missing, so no gateway is measured: apt-get install wrk nginx")
        return 0
    about = machine()
    run = _Run(interpreters(), *(cores() or (None, None)))
    with upstream(run.other) as base:
        subjects = [SUBJECTS[name] for name in options.who if run.has(SUBJECTS[name])]
        for path in sorted({WORKS[name].path for name in options.work}):
            works = [WORKS[name] for name in options.work if WORKS[name].path == path]
            run.side_by_side(subjects, works, f"{base}{path}/v1", options.rounds, options.seconds)
        if "quoth" in options.who:
            run.many_streams(f"{base}/paced/v1")
            if options.growth:
                run.growth(f"{base}/v1")
    about["load_after"] = load()
    document = {"machine": about, **run.found()}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    text = table(document)
    print(text)
    if options.doc is not None:
        before, _, rest = options.doc.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        options.doc.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")
    return 0


class _Run:
    """What is found. `mine` is the core of the gateways, `other` that of the upstream and the load."""

    def __init__(self, pythons: dict[bool, str | None], mine: int | None, other: int | None):
        self.mine, self.other = mine, other
        self._pythons = pythons
        self._runs: dict[str, dict[str, list[dict[str, float]]]] = {}
        self._starts: dict[str, list[float]] = {}
        self._direct: list[float] = []
        self._streams: dict[str, Any] | None = None
        self._growth: dict[str, float] | None = None

    def found(self) -> dict[str, Any]:
        return {
            "runs": self._runs,
            "starts": self._starts,
            "direct_p50_ms": self._direct,
            "streams": self._streams,
            "growth": self._growth,
        }

    def has(self, subject: Subject) -> bool:
        missing = subject.missing(self._pythons)
        if missing:
            say(f"{subject.title} is left out: {missing}")
        return not missing

    def _running(self, subject: Subject, base: str) -> Any:
        return running(subject, base, self._pythons, self.mine)

    def side_by_side(self, subjects: list[Subject], works: list[Work], base: str, rounds: int, seconds: int) -> None:
        """All of them are up at once, and take turns within a round: what else the machine does is shared by all."""
        with ExitStack() as stack:
            up: dict[str, Running] = {}
            for subject in subjects:
                say(f"starting {subject.title}")
                try:
                    up[subject.name] = stack.enter_context(self._running(subject, base))
                except (Unstarted, OSError) as why:
                    say(f"{subject.title} is left out: {why}")
                    continue
                self._starts.setdefault(subject.name, []).append(up[subject.name].first_ms)
            for work in works:
                doing: dict[str, Running] = {
                    name: gateway for name, gateway in up.items() if not work.beyond or name == "quoth"
                }
                for gateway in doing.values():
                    self._tried(work.title, lambda gateway=gateway, work=work: wrk(gateway.url, work, 1, self.other))
                for number in range(rounds):
                    say(f"{work.title}, round {number + 1} of {rounds}")
                    if work.connections == 1:
                        direct = self._tried("the upstream", lambda work=work: wrk(base, work, seconds, self.other))
                        self._direct += [direct["p50_ms"]] if direct else []
                    for name, gateway in doing.items():
                        figures = self._tried(
                            f"{SUBJECTS[name].title}, {work.title}",
                            lambda gateway=gateway, work=work: self._measured(gateway, work, seconds),
                        )
                        if figures:
                            self._runs.setdefault(work.name, {}).setdefault(name, []).append(figures)

    def _tried(self, what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """None, and a word about it, where that did not work."""
        try:
            return measure()
        except LoadFailed as why:
            say(f"{what}: {why}")
            return None

    def _measured(self, gateway: Running, work: Work, seconds: int) -> dict[str, float]:
        before = gateway.cpu()
        result = wrk(gateway.url, work, seconds, self.other)
        used = gateway.cpu() - before
        return {
            "cpu_us": used / result["requests"] * 1e6 / work.per,
            "per_second": result["per_second"],
            "p50_ms": result["p50_ms"],
            "p99_ms": result["p99_ms"],
            "bad": result["bad"],
            **gateway.memory(),
        }

    def many_streams(self, base: str) -> None:
        say("many streams at once, each looked at event by event (Quoth)")
        try:
            with self._running(SUBJECTS["quoth"], base) as gateway:
                self._streams = self._tried("streams", lambda: streams(gateway.url, self.other))
                if self._streams is not None:
                    self._streams.update(gateway.memory())
        except Unstarted as why:
            say(f"left out: {why}")

    def growth(self, base: str) -> None:
        """The memory of Quoth's worker after 20,000 and after 220,000 requests, in MB."""
        marks: dict[str, float] = {}
        try:
            with self._running(SUBJECTS["quoth"], base) as gateway:
                count = 0.0
                for mark in (20_000, 220_000):
                    while count < mark:
                        count += wrk(gateway.url, WORKS["small"], 2, self.other)["requests"]
                    marks[f"at_{mark}_mb"] = gateway.memory()["worker_mb"]
                    say(f"{mark} requests: {marks[f'at_{mark}_mb']:.1f} MB (Quoth)")
        except (Unstarted, LoadFailed) as why:
            say(f"growth is left out: {why}")
            return
        self._growth = marks


if __name__ == "__main__":
    sys.exit(main())
