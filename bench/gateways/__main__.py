"""`python -m bench.gateways`: one gateway after the other on core 0, its upstream and the load on core 1, and a table.

Needs wrk and nginx (`apt-get install wrk nginx`); what is missing is left out, and said. QUOTH_BENCH_PEERS names the
Python of the peers' environment, where LiteLLM's proxy, granian and pyreqwest are. `make bench` sets that up.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench.gateways.load import WORKS, Work, wrk
from bench.gateways.subjects import SUBJECTS, Running, Subject, running
from bench.report import load, machine
from bench.run import cores, interpreters, upstream

BEGIN, END = "<!-- bench gateways: begin -->", "<!-- bench gateways: end -->"
FLOOR, NGINX = "floor", "nginx"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gateways", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each figure is taken (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each load lasts (4)")
    parser.add_argument("--who", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="only these gateways")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS), help="only these kinds of work")
    parser.add_argument("--growth", action="store_true", help="also: memory from request 20,000 to 220,000 (Quoth)")
    parser.add_argument("--json", type=Path, default=Path("dist/bench-gateways.json"))
    parser.add_argument("--doc", type=Path, help="put the table between the marks of this Markdown file")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        say("wrk is missing, so nothing can be measured: apt-get install wrk nginx")
        return 0
    about = machine()
    pythons = interpreters()
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    starts: dict[str, list[dict[str, float]]] = {}
    mine, other = cores() or (None, None)
    with upstream(other) as base:
        subjects = [SUBJECTS[name] for name in options.who if _available(SUBJECTS[name], pythons)]
        for number in range(options.rounds):
            for subject in subjects:
                paths = {WORKS[name].path for name in options.work}
                for path in sorted(paths):
                    with running(subject, f"{base}{path}/v1", pythons, mine) as gateway:
                        starts.setdefault(subject.name, []).append(gateway.started())
                        for work in (WORKS[name] for name in options.work if WORKS[name].path == path):
                            if work.beyond and subject.name != "quoth":
                                continue
                            say(f"round {number + 1} of {options.rounds}: {subject.title}, {work.title}")
                            found.setdefault((subject.name, work.name), []).append(
                                _measured(gateway, work, options.seconds, other)
                            )
        growth = _growth(base, pythons, mine, other) if options.growth else None
    about["load_after"] = load()
    document = {
        "machine": about,
        "runs": {f"{who}/{work}": runs for (who, work), runs in found.items()},
        "starts": starts,
        "growth": growth,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    text = table(about, found, starts, growth)
    print(text)
    if options.doc is not None:
        before, _, rest = options.doc.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        options.doc.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")
    return 0


def _available(subject: Subject, pythons: dict[bool, str | None]) -> bool:
    missing = subject.missing(pythons)
    if missing:
        say(f"{subject.title} is left out: {missing}")
    return not missing


def _measured(gateway: Running, work: Work, seconds: float, core: int | None) -> dict[str, float]:
    wrk(gateway.url, work, 1.0, core)  # warm
    before = gateway.cpu()
    result = wrk(gateway.url, work, seconds, core)
    used = gateway.cpu() - before
    return {
        "cpu_us": used / result["requests"] * 1e6 / work.per,
        "per_second": result["per_second"],
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "bad": result["bad"],
        **gateway.memory(),
    }


def _growth(base: str, pythons: dict[bool, str | None], mine: int | None, other: int | None) -> dict[str, float]:
    """The memory of Quoth's worker after 20,000 and after 220,000 requests, in MB."""
    work = WORKS["small"]
    with running(SUBJECTS["quoth"], f"{base}/v1", pythons, mine) as gateway:
        count = 0.0
        marks = {}
        for mark in (20_000, 220_000):
            while count < mark:
                count += wrk(gateway.url, work, 2.0, other)["requests"]
            marks[f"rss_mb_at_{mark}"] = gateway.memory()["worker_mb"]
            say(f"{mark} requests: {marks[f'rss_mb_at_{mark}']:.1f} MB")
    return marks


def table(about: dict[str, Any], found: Any, starts: Any, growth: Any) -> str:
    lines = [
        f"{about['date']}, {about['processor']}, {about['cores']} cores, {about['system']}, {about['python']}. "
        f"Load {about['load_before']} before and {about['load_after']} at the end.",
        "",
        "| work | gateway | CPU | least–most | × floor | × nginx | per second | p50 | p99 |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, work in WORKS.items():
        rows = {who: runs for (who, one), runs in found.items() if one == name}
        middle = {who: median(run["cpu_us"] for run in runs) for who, runs in rows.items()}
        for who, runs in rows.items():
            costs = sorted(run["cpu_us"] for run in runs)
            lines.append(
                f"| {work.title} | {SUBJECTS[who].title} | {middle[who]:.1f} µs | {costs[0]:.1f}–{costs[-1]:.1f} | "
                f"{_ratio(middle, who, FLOOR)} | {_ratio(middle, who, NGINX)} | "
                f"{median(run['per_second'] for run in runs):,.0f} | {median(run['p50_ms'] for run in runs):.2f} ms | "
                f"{median(run['p99_ms'] for run in runs):.2f} ms |"
            )
    lines += _across(found)
    lines += ["", "| gateway | first answer after | parent | worker, after the load |", "| --- | --: | --: | --: |"]
    for who, runs in starts.items():
        memories = [run for (one, _), all_runs in found.items() if one == who for run in all_runs]
        parent = max((run["parent_mb"] for run in memories), default=0.0)
        worker = max((run["worker_mb"] for run in memories), default=0.0)
        first = median(run["first_ms"] for run in runs)
        lines.append(f"| {SUBJECTS[who].title} | {first:,.0f} ms | {parent:.1f} MB | {worker:.1f} MB |")
    if growth:
        early, late = growth["rss_mb_at_20000"], growth["rss_mb_at_220000"]
        lines += ["", f"Quoth's worker: {early:.1f} MB after 20,000 requests, {late:.1f} MB after 220,000."]
    return "\n".join(lines)


def _across(found: Any) -> list[str]:
    """What being told in another wire's words costs, beside what the same costs over one wire, in floors."""
    lines = []
    for name, work in WORKS.items():
        needed = ("quoth", name), ("quoth", work.beyond), (FLOOR, work.beyond)
        if not work.beyond or not all(key in found for key in needed):
            continue
        told, same, floor = (median(run["cpu_us"] for run in found[key]) for key in needed)
        lines.append(
            f"- {work.title}: {told - same:.1f} µs more than over one wire, {(told - same) / floor:.2f} of the floor."
        )
    return ["", *lines] if lines else []


def _ratio(middle: dict[str, float], who: str, other: str) -> str:
    return f"{middle[who] / middle[other]:.2f}" if other in middle and who != other else ""


if __name__ == "__main__":
    sys.exit(main())
