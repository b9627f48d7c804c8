"""What is measured, as data: kinds of work, the subjects that do them, and the figures read from them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEASURES", "SIZE_LIMIT_MB", "SUBJECTS", "WORKS", "Measure", "Subject", "Work"]


@dataclass(frozen=True)
class Subject:
    """`module` is a file under bench/subjects, `package` what its version is read from. `peers`: it lives in the second
    environment. `slow`: it gets a fifth of the repetitions, so that a run comes to an end."""

    module: str
    title: str
    package: str
    peers: bool = False
    slow: bool = False


SUBJECTS = {
    "urllib3": Subject("bare_urllib3", "urllib3 alone", "urllib3"),
    "httptools": Subject("bare_httptools", "httptools alone", "httptools"),
    "aiohttp": Subject("bare_aiohttp", "aiohttp alone", "aiohttp", peers=True),
    "urllib3-json": Subject("decoded_urllib3", "urllib3, events decoded", "urllib3"),
    "httptools-json": Subject("decoded_httptools", "httptools, events decoded", "httptools"),
    "quoth": Subject("quoth_sdk", "Quoth", "quoth"),
    "openai": Subject("openai_sdk", "openai", "openai"),
    "litellm": Subject("litellm_sdk", "LiteLLM", "litellm", peers=True, slow=True),
}
_BLOCKING = ("urllib3", "quoth", "openai", "litellm")
_ASYNC = ("httptools", "aiohttp", "quoth", "openai", "litellm")
_STREAM = ("urllib3", "urllib3-json", "quoth", "openai", "litellm")
_ASTREAM = ("httptools", "httptools-json", "aiohttp", "quoth", "openai", "litellm")


@dataclass(frozen=True)
class Work:
    """`kind` is what bench/probe.py does, against the part `path` of the upstream; `full` and `quick` say how often."""

    kind: str
    subjects: tuple[str, ...]
    path: str = ""
    full: int = 1
    quick: int = 1


WORKS = {
    "first": Work("first", _BLOCKING),
    "afirst": Work("afirst", _ASYNC),
    "call": Work("call", _BLOCKING, full=1000, quick=300),
    "acall": Work("acall", _ASYNC, full=1000, quick=300),
    "burst": Work("stream", _STREAM, "/burst", full=20, quick=5),
    "aburst": Work("astream", _ASTREAM, "/burst", full=20, quick=5),
    "paced": Work("stream", _STREAM, "/paced", full=15, quick=5),
    "apaced": Work("astream", _ASTREAM, "/paced", full=15, quick=5),
}


@dataclass(frozen=True)
class Measure:
    """`figure` is read from the results of `work` and divided by `per`, shown in `unit`.

    `limit` is the most that Quoth may need; `ratio` the most in multiples of the bare client, the work's first subject.
    """

    title: str
    work: str
    figure: str
    unit: str
    per: float = 1.0
    limit: float | None = None
    ratio: float | None = None


MEASURES = (
    Measure("Import", "first", "import_ms", "ms", limit=120),
    Measure("Import and first blocking call", "first", "first_ms", "ms", limit=200),
    Measure("Import and first asyncio call", "afirst", "first_ms", "ms", limit=200),
    Measure("Import and first blocking call, CPU", "first", "first_cpu_ms", "ms"),
    Measure("Import and first asyncio call, CPU", "afirst", "first_cpu_ms", "ms"),
    Measure("Blocking call, CPU", "call", "cpu_us", "ms", 1e3, limit=0.45),
    Measure("asyncio call, CPU", "acall", "cpu_us", "ms", 1e3, limit=0.25),
    Measure("Blocking stream in a burst, CPU per chunk", "burst", "cpu_us", "µs", 2000, limit=25),
    Measure("asyncio stream in a burst, CPU per chunk", "aburst", "cpu_us", "µs", 2000, limit=25),
    Measure("Blocking stream, chunks 2 ms apart, CPU per chunk", "paced", "cpu_us", "µs", 103, ratio=1.5),
    Measure("asyncio stream, chunks 2 ms apart, CPU per chunk", "apaced", "cpu_us", "µs", 103, ratio=1.5),
    Measure("Peak memory, blocking calls", "call", "rss_mb", "MB", limit=45),
    Measure("Peak memory, asyncio calls", "acall", "rss_mb", "MB", limit=45),
    Measure("Peak memory, blocking streams", "burst", "rss_mb", "MB", limit=45),
    Measure("Peak memory, asyncio streams", "aburst", "rss_mb", "MB", limit=45),
)
SIZE_LIMIT_MB = 45
