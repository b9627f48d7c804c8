"""Runs probes, each in a fresh process pinned to one core, with the upstream on another.

Rounds are interleaved, so that a noisy minute is shared by all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measures import SUBJECTS, WORKS

__all__ = ["Results", "cores", "interpreters", "measure", "upstream", "version_of"]

HERE = Path(__file__).parent
TIME_LIMIT = 300

# {(work, subject): one dict of figures per round}
Results = dict[tuple[str, str], list[dict[str, float]]]


def cores() -> tuple[int, int] | None:
    """The core of the measured program and that of the upstream; None where processes cannot be pinned."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else None


def interpreters() -> dict[bool, str | None]:
    """The Python of this environment, and that of the peers' (QUOTH_BENCH_PEERS), by whether a subject is a peer."""
    peers = os.environ.get("QUOTH_BENCH_PEERS", "")
    return {False: sys.executable, True: peers if peers and Path(peers).exists() else None}


def environment() -> dict[str, str]:
    """What the probes see: nothing that would change a library's behaviour (proxies, CA bundles, no bytecode files)."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "PYTHONPATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def version_of(python: str, package: str) -> str | None:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment())
    return done.stdout.strip() or None


@contextmanager
def upstream(core: int | None) -> Iterator[str]:
    """The upstream's base URL, without the /v1."""
    command = [sys.executable, str(HERE / "upstream.py"), *([] if core is None else [str(core)])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


def probe(python: str, module: str, kind: str, base: str, count: int, core: int | None) -> dict[str, float]:
    """The figures of one run. Raises RuntimeError with what the probe said last."""
    command = [python, str(HERE / "probe.py"), module, kind, base, str(count), *([] if core is None else [str(core)])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=TIME_LIMIT)
    if done.returncode:
        raise RuntimeError(f"{module} {kind}: {done.stderr.strip().splitlines()[-1:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(
    works: list[str], subjects: list[str], *, rounds: int, quick: bool, progress: Callable[[str], None]
) -> Results:
    """Every subject at every work, `rounds` times. A first round of imports, not counted, writes the bytecode files."""
    pythons, pinned = interpreters(), cores()
    mine, other = pinned or (None, None)
    jobs = [
        (work, name)
        for work in works
        for name in WORKS[work].subjects
        if name in subjects and pythons[SUBJECTS[name].peers] is not None
    ]
    results: Results = {job: [] for job in jobs}
    with upstream(other) as base:
        for name in dict.fromkeys(name for _, name in jobs):
            progress(f"warming the files of {SUBJECTS[name].title}")
            for kind in {WORKS[work].kind for work, subject in jobs if subject == name} & {"first", "afirst"}:
                probe(str(pythons[SUBJECTS[name].peers]), SUBJECTS[name].module, kind, f"{base}/v1", 1, mine)
        for number in range(rounds):
            for place, (work, name) in enumerate(jobs):
                what, subject = WORKS[work], SUBJECTS[name]
                progress(f"round {number + 1} of {rounds}, {place + 1} of {len(jobs)}: {work}, {subject.title}")
                count = what.quick if quick else what.full
                count = max(1, count // 5) if subject.slow else count
                python = str(pythons[subject.peers])
                url = f"{base}{what.path}/v1"
                try:
                    results[work, name].append(probe(python, subject.module, what.kind, url, count, mine))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    if name == "quoth":
                        raise
                    progress(f"left out: {error}")
    return results
