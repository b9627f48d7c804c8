"""`quoth verify`: is what Quoth believes about Poe still so?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from quoth.cli import terminal
from quoth.cli.answers import short
from quoth.cli.emulate import KEY
from quoth.cli.failures import ExitCode, Failed, UsageFault
from quoth.emulator import Emulator
from quoth.providers.resolve import resolve
from quoth.providers.rows import Registry
from quoth.transport.blocking import BlockingTransport
from quoth.transport.environment import environment
from quoth.transport.network import Network
from quoth.verify import Asker, Fact, Finding, Run, Verdict, facts, verify

__all__ = ["run", "show_facts"]

_STYLES: dict[Verdict, terminal.Style] = {"still true": "dim", "changed": "red", "unknown": "yellow"}
_LONGEST = 120


def run(
    *,
    live: bool,
    profile: str,
    only: Sequence[str],
    max_usd: float,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    known = {fact.name: fact for fact in facts()}
    for name in only:
        if name not in known:
            raise UsageFault(f"--only {name!r} is not a fact; `quoth verify --facts` lists them")
    path = Path(output).expanduser() if output else None
    if path is not None and path.exists() and not force:
        raise UsageFault(f"{path} exists: name another file, or --force")
    wanted = [fact for fact in facts() if not only or fact.name in only]
    transport: Any = BlockingTransport(Network(), environment)
    try:
        with _poe(live, profile) as (base_url, key):
            asker = Asker(base_url, key, transport, Decimal(str(max_usd)))
            if not as_json:
                _greet(asker, live, profile, len(wanted))
            done = verify(asker, live=live, only=only, told=_Teller(asker, wanted, silent=as_json).told)
    finally:
        transport.close()
    document = done.document()
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    if as_json:
        terminal.print_json(document)
    else:
        _sum_up(done, path)
    if done.count("changed"):
        raise Failed(ExitCode.FAILURE)


def show_facts(*, as_json: bool) -> None:
    if as_json:
        terminal.print_json([msgspec.to_builtins(fact) for fact in facts()])
        return
    width = max(len(fact.name) for fact in facts())
    lines = (f"{fact.name:<{width}}  {fact.status:<10}  {fact.date:<10}  {fact.claim}\n" for fact in facts())
    terminal.write(terminal.fit("".join(lines), sys.stdout))


@contextmanager
def _poe(live: bool, profile: str) -> Iterator[tuple[str, str]]:
    """Where Poe is and the key for it: the real one, or an emulator for as long as the run takes."""
    if live:
        target = resolve("poe/*", Registry(), environment())
        yield target.base_url, target.key or ""
        return
    try:
        emulator = Emulator(profile=profile, token_delay=0)
    except ValueError as error:
        raise UsageFault(str(error)) from None
    with emulator:
        yield emulator.base_url, KEY


class _Teller:
    """Each verdict as it comes."""

    def __init__(self, asker: Asker, wanted: Sequence[Fact], *, silent: bool):
        self._asker, self._silent = asker, silent
        self._count, self._total = 0, len(wanted)
        self._width = max((len(fact.name) for fact in wanted), default=0)

    def told(self, finding: Finding) -> None:
        self._count += 1
        where = f"[{self._count:>{len(str(self._total))}}/{self._total}]"
        if self._silent:
            return
        evidence = terminal.harmless(" ".join(finding.evidence.split()), sys.stdout)
        if len(evidence) > _LONGEST:
            evidence = f"{evidence[:_LONGEST]}…"
        spent = f"${short(self._asker.spent)}"
        line = f"{where}  {spent:<9}  {finding.verdict:<10}  {finding.fact.name:<{self._width}}  {evidence}\n"
        terminal.write(terminal.styled(terminal.fit(line, sys.stdout), _STYLES[finding.verdict], sys.stdout))
        if finding.verdict == "changed":
            known = f"{finding.fact.status} {finding.fact.date}"
            terminal.write(terminal.fit(f"    it was: {finding.fact.claim} ({known})\n", sys.stdout))


def _greet(asker: Asker, live: bool, profile: str, count: int) -> None:
    if live:
        terminal.note(f"Asking Poe at {asker.origin} after {count} facts, for ${asker.cap:f} at most.", "bold")
    else:
        terminal.note(
            f"Asking an emulated Poe (profile {profile}) after {count} facts; nothing leaves this machine. "
            "`quoth verify --live` asks Poe itself.",
            "bold",
        )


def _sum_up(done: Run, path: Path | None) -> None:
    counts = ", ".join(f"{done.count(verdict)} {verdict}" for verdict in _STYLES)
    charged = "" if done.charged_points is None else f"; the balance fell by {done.charged_points:,} points"
    terminal.note(f"{counts} · about ${short(done.asker.spent)}{charged}", "bold")
    if path is not None:
        terminal.note(f"{path} has what was seen: no key, nothing of the account. It can be sent to anybody.")
    elif done.count("changed"):
        terminal.note("-o FILE writes what was seen, without key and account, so that it can be sent.")
