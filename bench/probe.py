"""The program that is measured: one library doing one kind of work, in a process of its own.

    python bench/probe.py SUBJECT KIND BASE_URL COUNT [CORE]       prints one line of JSON

Nothing is imported before the clock starts that a library might need too. CPU is user + system time of the process, all
its threads included. Memory is the peak of the process's own pages: VmHWM on Linux, which, unlike `ru_maxrss`, owes
nothing to the process that started it.
"""

from __future__ import annotations

import sys
import time

WARM_UP = 20


def main(subject: str, kind: str, base: str, count: int) -> dict[str, float]:
    """The figures of one run. `count` is the number of calls or streams after the warm-up."""
    library = __import__(f"subjects.{subject}", fromlist=["load"])
    begun, cpu = time.perf_counter(), time.process_time()
    library.load()
    figures = {"import_ms": 1e3 * (time.perf_counter() - begun), "import_cpu_ms": 1e3 * (time.process_time() - cpu)}
    if kind == "first":
        library.caller(base)()
        figures |= _since(begun, cpu)
    elif kind == "afirst":
        import asyncio

        asyncio.run(_afirst(library, base))
        figures |= _since(begun, cpu)
    elif kind in ("call", "stream"):
        figures |= _blocking(library.caller(base) if kind == "call" else library.streamer(base), count)
    elif kind in ("acall", "astream"):
        import asyncio

        figures |= asyncio.run(_asynchronous(library, kind, base, count))
    figures["rss_mb"] = _peak_memory()
    return figures


def _since(begun, cpu):  # type: ignore[no-untyped-def]
    return {
        "first_ms": 1e3 * (time.perf_counter() - begun),
        "first_cpu_ms": 1e3 * (time.process_time() - cpu),
    }


def _blocking(work, count):  # type: ignore[no-untyped-def]
    for _ in range(min(count, WARM_UP)):
        work()
    begun, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        work()
    return _each(count, begun, cpu)


async def _afirst(library, base):  # type: ignore[no-untyped-def]
    await (await library.acaller(base))()
    await library.aclose()


async def _asynchronous(library, kind, base, count):  # type: ignore[no-untyped-def]
    work = await (library.acaller(base) if kind == "acall" else library.astreamer(base))
    for _ in range(min(count, WARM_UP)):
        await work()
    begun, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        await work()
    figures = _each(count, begun, cpu)
    await library.aclose()
    return figures


def _each(count, begun, cpu):  # type: ignore[no-untyped-def]
    return {
        "wall_us": 1e6 * (time.perf_counter() - begun) / count,
        "cpu_us": 1e6 * (time.process_time() - cpu) / count,
    }


def _peak_memory() -> float:
    """MB (10^6 bytes)."""
    try:
        with open("/proc/self/status") as status:
            kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except OSError:
        import resource

        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    return kib * 1024 / 1e6


if __name__ == "__main__":
    if len(sys.argv) > 5:
        import os

        os.sched_setaffinity(0, {int(sys.argv[5])})
    found = main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

    import json

    print(json.dumps(found))
