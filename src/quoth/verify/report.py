"""A whole run: every probe, the verdict on every fact, and a file of it that can be sent to anybody.

The file holds no key, nothing of the account, and of the history and the balance only their form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlsplit

from quoth._version import __version__
from quoth.providers.pricing import POINTS_PER_USD
from quoth.verify.asking import CHAT, MESSAGES, RESPONSES, Asker, Exchange, OverCap
from quoth.verify.facts import Fact, facts
from quoth.verify.probes import PROBES as CHAT_PROBES
from quoth.verify.surfaces import SURFACES

__all__ = ["PROBES", "Finding", "Run", "Verdict", "cases", "verify"]

Verdict = Literal["still true", "changed", "unknown"]

PROBES = CHAT_PROBES | SURFACES
_CASES = {CHAT: "chat", RESPONSES: "responses", MESSAGES: "messages"}
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_LONG_LIST = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one fact. `exchanges` are numbers of exchanges of the run: what was seen."""

    fact: Fact
    verdict: Verdict
    evidence: str
    exchanges: tuple[int, ...] = ()


@dataclass(slots=True)
class Run:
    """`charged_points` is by how much the balance fell; None when it could not be read."""

    asker: Asker
    live: bool
    findings: list[Finding] = field(default_factory=list)
    charged_points: int | None = None

    def count(self, verdict: Verdict) -> int:
        return sum(1 for finding in self.findings if finding.verdict == verdict)

    def document(self) -> dict[str, Any]:
        """The run as it can be sent: facts with their evidence, and the exchanges it rests on."""
        text = _Masked(self.asker.key)
        return {
            "quoth": __version__,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "live": self.live,
            "host": urlsplit(self.asker.origin).hostname,
            "cap_usd": self.asker.cap,
            "estimated_usd": self.asker.spent,
            "charged_usd": None if self.charged_points is None else Decimal(self.charged_points) / POINTS_PER_USD,
            "facts": [
                {
                    "name": finding.fact.name,
                    "claim": finding.fact.claim,
                    "known": finding.fact.status,
                    "date": finding.fact.date,
                    "verdict": finding.verdict,
                    "evidence": text(finding.evidence),
                    "exchanges": finding.exchanges,
                }
                for finding in self.findings
            ],
            "exchanges": [_redacted(exchange, text) for exchange in self.asker.exchanges],
        }


def verify(
    asker: Asker, *, live: bool, only: Iterable[str] = (), told: Callable[[Finding], None] = lambda finding: None
) -> Run:
    """Ask after every fact, or after those that are named, one after the other. `told` hears each verdict at once."""
    run = Run(asker, live)
    wanted = set(only)
    before = _points(asker)
    for name, group in _probes(wanted):
        for finding in _judged(asker, name, group):
            run.findings.append(finding)
            told(finding)
    after = _points(asker)
    if before is not None and after is not None:
        run.charged_points = max(0, before - after)
    return run


def _probes(wanted: set[str]) -> Iterator[tuple[str, list[Fact]]]:
    """Each probe with the facts that it is to judge. Whichever are wanted, the list of models is looked at first."""
    by_probe: dict[str, list[Fact]] = {}
    for fact in facts():
        found = by_probe.setdefault(fact.probe, [])
        if not wanted or fact.name in wanted:
            found.append(fact)
    return ((name, group) for name, group in by_probe.items() if group or name == "models")


def _judged(asker: Asker, probe: str, group: list[Fact]) -> Iterator[Finding]:
    first = len(asker.exchanges)
    found: dict[str, tuple[bool | None, str]] = {}
    why = "the probe did not get that far"
    try:
        for name, holds, evidence in PROBES[probe](asker):
            found[name] = holds, evidence
    except OverCap as over:
        why = f"not asked: {over}"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        why = f"the answer has a form that the probe does not know ({type(error).__name__}: {error})"
    seen = tuple(range(first, len(asker.exchanges)))
    for fact in group:
        holds, evidence = found.get(fact.name, (None, why))
        verdict: Verdict = "unknown" if holds is None else "still true" if holds else "changed"
        yield Finding(fact, verdict, evidence, seen)


def _points(asker: Asker) -> int | None:
    """The balance, looked at for what the run costs; it is kept out of the exchanges."""
    exchange = asker.ask("GET", "/usage/current_balance")
    asker.exchanges.remove(exchange)
    points = exchange.answer.get("current_point_balance") if isinstance(exchange.answer, dict) else None
    return points if isinstance(points, int) and not isinstance(points, bool) else None


# What may be sent


class _Masked:
    """Texts without the key, and without addresses."""

    def __init__(self, key: str):
        self._key = key

    def __call__(self, text: str) -> str:
        if self._key and self._key in text:
            text = text.replace(self._key, "<key>")
        return _EMAIL.sub("<email>", text)

    def all(self, value: Any) -> Any:
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(name): self.all(item) for name, item in value.items()}
        return [self.all(item) for item in value] if isinstance(value, list) else value


def _redacted(exchange: Exchange, text: _Masked) -> dict[str, Any]:
    """An exchange in the form of a recording, plus method, events and failure."""
    answer = exchange.answer
    if exchange.path.startswith("/usage/") or exchange.status in (401, 402, 403):
        # Whatever an account's page or a refusal of an account says of it: only its form.
        answer = answer if exchange.refused else _form(answer)
    elif exchange.path == "/v1/models" and isinstance(answer, dict) and isinstance(answer.get("data"), list):
        answer = {**answer, "data": answer["data"][:1]}
    return {
        "method": exchange.method,
        "endpoint": exchange.path,
        "request": text.all(exchange.request),
        "status": exchange.status,
        "headers": text.all(exchange.headers),
        "body": text.all(answer),
        "events": text.all(exchange.events),
        "failure": text(exchange.failure),
    }


def _form(value: Any, name: str = "") -> Any:
    """The form of a value: names and kinds, the number of digits, no content."""
    if isinstance(value, dict):
        return {key: _form(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_form(item) for item in value[:1]]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return f"<{len(str(abs(value)))} digits>" if name.endswith("_time") else "<number>"
    if isinstance(value, str) and name in ("type", "code", "object", "usage_type"):
        return value
    return "<number>" if isinstance(value, float) else f"<{_kind(value)}>"


def _kind(text: str) -> str:
    if re.fullmatch(r"-?\d+\.\d+", text):
        return "decimal text"
    return "N points (N tokens)" if re.fullmatch(r"-?[\d,]+ points \([\d,]+ tokens\)", text) else "text"


def cases(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The exchanges of a report on chat, Responses and Messages, each named after the first fact that it shows, in the
    form of a recording: endpoint, request, status, headers, body.

    They are what the emulator is compared with; those that are streamed, or were no JSON, are not among them.
    """
    found = {}
    taken: set[int] = set()
    for fact in document["facts"]:
        for place, number in enumerate(fact["exchanges"]):
            one = document["exchanges"][number]
            plain = one["endpoint"] in _CASES and one["method"] == "POST" and not one["events"] and not one["failure"]
            if plain and isinstance(one["request"], dict) and number not in taken:
                taken.add(number)
                name = f"{_CASES[one['endpoint']]}-{fact['name']}" + (f"-{place + 1}" if place else "")
                found[name] = {key: one[key] for key in ("endpoint", "request", "status", "headers", "body")}
    return found
