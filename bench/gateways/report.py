"""What was found as tables in Markdown, and beside it what the limits are."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from bench.gateways.load import WORKS
from bench.gateways.subjects import SUBJECTS

__all__ = ["table"]

FLOOR, NGINX, QUOTH = "floor", "nginx", "quoth"
# Times the floor, and times nginx, that a request or an event may take.
RATIOS = {"small": (1.3, 8.0), "medium": (1.3, 8.0), "large": (1.3, 8.0), "stream": (1.2, 3.0)}
# Floors that it may take more to tell a call in another wire's words: per request, and per event.
ACROSS, ACROSS_STREAMED = 0.6, 0.7
ADDED_MS, START_MS, WORKER_MB, PARENT_MB, GROWTH_MB = 0.8, 1500.0, 90.0, 40.0, 5.0


def table(found: dict[str, Any]) -> str:
    about = found["machine"]
    lines = [
        f"{about['date']}, {about['processor']}, {about['cores']} cores, {about['system']}, {about['python']}. "
        f"Load {about['load_before']} before and {about['load_after']} at the end; the benchmark itself is about 2.",
        "",
        "| work | gateway | CPU | least–most | × floor | × nginx | per second | p50 | p99 |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
        *_costs(found),
        "",
        "| gateway | first answer after | parent | worker, after the load |",
        "| --- | --: | --: | --: |",
        *_sizes(found),
        "",
        "| limit of Quoth | allowed | found | |",
        "| --- | --: | --: | --- |",
        *_verdicts(found),
    ]
    return "\n".join(lines)


def _costs(found: dict[str, Any]) -> Iterator[str]:
    for name, rows in found["runs"].items():
        middle = {who: median(run["cpu_us"] for run in runs) for who, runs in rows.items()}
        for who, runs in rows.items():
            costs = sorted(run["cpu_us"] for run in runs)
            yield (
                f"| {WORKS[name].title} | {SUBJECTS[who].title} | {middle[who]:.1f} µs | {costs[0]:.1f}–{costs[-1]:.1f}"
                f" | {_times(middle, who, FLOOR)} | {_times(middle, who, NGINX)}"
                f" | {median(run['per_second'] for run in runs):,.0f}"
                f" | {median(run['p50_ms'] for run in runs):.2f} ms | {median(run['p99_ms'] for run in runs):.2f} ms |"
            )


def _times(middle: dict[str, float], who: str, other: str) -> str:
    return f"{middle[who] / middle[other]:.2f}" if other in middle and who != other else ""


def _sizes(found: dict[str, Any]) -> Iterator[str]:
    for who, starts in found["starts"].items():
        parent, worker = _memory(found, who)
        yield f"| {SUBJECTS[who].title} | {median(starts):,.0f} ms | {parent:.1f} MB | {worker:.1f} MB |"


def _memory(found: dict[str, Any], who: str) -> tuple[float, float]:
    """The most that its parent and its worker had, in MB."""
    runs = [run for rows in found["runs"].values() for run in rows.get(who, ())]
    return max((run["parent_mb"] for run in runs), default=0.0), max((run["worker_mb"] for run in runs), default=0.0)


def _verdicts(found: dict[str, Any]) -> Iterator[str]:
    for name, (floor, nginx) in RATIOS.items():
        rows = found["runs"].get(name, {})
        middle = {who: median(run["cpu_us"] for run in runs) for who, runs in rows.items()}
        for other, allowed in ((FLOOR, floor), (NGINX, nginx)):
            if QUOTH in middle and other in middle:
                title = f"{WORKS[name].title}: CPU, times {SUBJECTS[other].title}"
                yield _verdict(title, middle[QUOTH] / middle[other], allowed, "")
    yield from _across(found)
    alone = found["runs"].get("alone", {}).get(QUOTH)
    if alone and found["direct_p50_ms"]:
        added = median(run["p50_ms"] for run in alone) - median(found["direct_p50_ms"])
        yield _verdict("one connection: latency added, p50", added, ADDED_MS, " ms")
    if QUOTH in found["starts"]:
        parent, worker = _memory(found, QUOTH)
        yield _verdict("start to first answer", median(found["starts"][QUOTH]), START_MS, " ms")
        yield _verdict("memory of the parent", parent, PARENT_MB, " MB")
        yield _verdict("memory of the worker", worker, WORKER_MB, " MB")
    if (growth := found["growth"]) is not None:
        grown = growth["at_220000_mb"] - growth["at_20000_mb"]
        yield _verdict("growth from request 20,000 to 220,000", grown, GROWTH_MB, " MB")
    if (streams := found["streams"]) is not None:
        whole = "kept" if streams["clean"] == streams["streams"] else f"missed: {'; '.join(streams['wrong'])}"
        title = "streams at once with every event, in order"
        yield f"| {title} | {streams['streams']} | {streams['clean']} | {whole} |"


def _across(found: dict[str, Any]) -> Iterator[str]:
    """What it costs more to be told in another wire's words than over one wire."""
    for name, work in WORKS.items():
        told = found["runs"].get(name, {}).get(QUOTH)
        rows = found["runs"].get(work.beyond, {})
        if told and rows.get(QUOTH) and rows.get(FLOOR):
            cost, same, floor = (median(run["cpu_us"] for run in runs) for runs in (told, rows[QUOTH], rows[FLOOR]))
            allowed = ACROSS_STREAMED if work.stream else ACROSS
            title = f"{work.title}: CPU more than over one wire, times {SUBJECTS[FLOOR].title}"
            yield _verdict(title, (cost - same) / floor, allowed, "")


def _verdict(title: str, value: float, allowed: float, unit: str) -> str:
    kept = "kept" if value <= allowed else "missed"
    return f"| {title} | {allowed:g}{unit} | {_number(value)}{unit} | {kept} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
