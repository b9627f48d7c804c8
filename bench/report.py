"""Results as tables (Markdown, which also reads well on a terminal) and as JSON."""

from __future__ import annotations

import datetime
import os
import platform
from statistics import median
from typing import Any

from bench.measures import MEASURES, SIZE_LIMIT_MB, SUBJECTS, WORKS, Measure
from bench.run import Results, cores

__all__ = ["document", "load", "machine", "tables"]


def machine() -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "pinned": cores() is not None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": load(),
    }


def load() -> float | None:
    """How many processes wanted to run in the last minute; the benchmark itself is about one."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def document(
    results: Results, sizes: dict[str, dict[str, float]], about: dict[str, Any], versions: dict[str, str | None]
) -> dict[str, Any]:
    """Everything that was found, for JSON."""
    rows = [row for measure in MEASURES for row in _rows(measure, results)]
    raw = {f"{work}/{name}": runs for (work, name), runs in results.items()}
    return {"machine": about, "versions": versions, "rows": rows, "sizes": sizes, "runs": raw}


def _rows(measure: Measure, results: Results) -> list[dict[str, Any]]:
    floor, *_ = subjects = WORKS[measure.work].subjects
    values = {
        name: sorted(run[measure.figure] / measure.per for run in results[measure.work, name])
        for name in subjects
        if results.get((measure.work, name))
    }
    rows = []
    for name, found in values.items():
        middle = median(found)
        rows.append(
            {
                "measure": measure.title,
                "subject": name,
                "unit": measure.unit,
                "median": middle,
                "least": found[0],
                "most": found[-1],
                "times_bare": middle / median(values[floor]) if floor in values and name != floor else None,
                "times_quoth": middle / median(values["quoth"]) if "quoth" in values and name != "quoth" else None,
                "limit": measure.limit if name == "quoth" else None,
                "limit_ratio": measure.ratio if name == "quoth" else None,
            }
        )
    return rows


def tables(found: dict[str, Any]) -> str:
    about, versions = found["machine"], found["versions"]
    pinned = "program and upstream pinned to a core each" if about["pinned"] else "processes not pinned"
    lines = [
        f"{about['date']}, {about['processor']}, {about['cores']} cores ({pinned}), {about['system']}, "
        f"{about['python']}. Load {about['load_before']} before and {about['load_after']} at the end, of which the "
        "benchmark itself is about 1.",
        ", ".join(dict.fromkeys(f"{SUBJECTS[name].package} {at}" for name, at in versions.items() if at)) + ".",
    ]
    cells: list[tuple[str, ...]] = []
    last = ""
    for row in found["rows"]:
        title = "" if row["measure"] == last else row["measure"]
        last = row["measure"]
        cells.append(
            (
                title,
                SUBJECTS[row["subject"]].title,
                f"{_number(row['median'])} {row['unit']}",
                f"{_number(row['least'])}–{_number(row['most'])}",
                _times(row["times_bare"]),
                _times(row["times_quoth"]),
                _verdict(row),
            )
        )
    head = ("measure", "who", "median", "least–most", "× bare", "× Quoth", "limit")
    lines += ["", *_table(head, cells, numbers={2, 3, 4, 5})]
    if found["sizes"]:
        cells = []
        for who, size in found["sizes"].items():
            small = size["with_pyc_mb"] <= SIZE_LIMIT_MB
            limit = f"{SIZE_LIMIT_MB} MB: {'kept' if small else 'missed'}" if who.startswith("Quoth") else ""
            cells.append((who, f"{size['without_pyc_mb']:.1f} MB", f"{size['with_pyc_mb']:.1f} MB", limit))
        lines += ["", *_table(("installation", "files", "with *.pyc", "limit"), cells, numbers={1, 2})]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _verdict(row: dict[str, Any]) -> str:
    if row["limit"] is not None:
        return f"{row['limit']:g} {row['unit']}: {'kept' if row['median'] <= row['limit'] else 'missed'}"
    if row["limit_ratio"] is not None and row["times_bare"] is not None:
        return f"{row['limit_ratio']:g} × bare: {'kept' if row['times_bare'] <= row['limit_ratio'] else 'missed'}"
    return ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], numbers: set[int]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: tuple[str, ...]) -> str:
        texts = (
            text.rjust(width) if column in numbers else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(texts)} |"

    rule = [f"{'-' * (width - 1)}:" if column in numbers else "-" * width for column, width in enumerate(widths)]
    return [line(head), f"| {' | '.join(rule)} |", *map(line, rows)]
