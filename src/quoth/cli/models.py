"""`quoth models`: which models there are, filtered, sorted, as a table or as JSON. Its two further words, `show` and
`changes`, are in modules of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import msgspec

from quoth.cli import terminal
from quoth.cli.failures import UsageFault
from quoth.cli.listing import Listed, from_facts, from_provider
from quoth.providers.catalogue import RETIRED, Catalogue, ModelFacts

__all__ = ["Wanted", "catalogue_in_force", "row_of", "run"]

MODALITIES = ("text", "image", "audio", "video")
FEATURES = ("tools", "web_search", "reasoning")
_MILLION = 1_000_000


def _by_price(model: Listed) -> tuple[int, Decimal, Decimal]:
    """Free first, then by the price of tokens, then by the price of a call: the two cannot be compared."""
    if model.free:
        return 0, Decimal(), Decimal()
    if model.per_call is not None:
        return 2, model.per_call, Decimal()
    if model.prompt is None:
        return 3, Decimal(), Decimal()
    return 1, model.prompt, model.completion or Decimal()


# Unknown comes last, whatever the order.
_ORDERS: dict[str, Callable[[Listed], Any]] = {
    "name": lambda model: model.id.lower(),
    "price": _by_price,
    "context": lambda model: -(model.context or 0),
    "created": lambda model: -(model.created or 0),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model has to be, everything at once."""

    search: str = ""
    takes: Sequence[str] = ()
    makes: Sequence[str] = ()
    supports: Sequence[str] = ()
    owner: str = ""
    max_price: float | None = None
    free: bool = False

    def check(self) -> None:
        """Raises UsageFault for a word that no model has."""
        for option, given, known in (
            ("--input", self.takes, MODALITIES),
            ("--output", self.makes, MODALITIES),
            ("--supports", self.supports, FEATURES),
        ):
            for word in given:
                if word not in known:
                    raise UsageFault(f"{option} {word!r} is not known; there are {', '.join(known)}")

    def matches(self, model: Listed) -> bool | None:
        """None when nothing speaks against the model but something that was asked for is not known of it."""
        text = f"{model.id} {model.name} {model.owner or ''}".lower()
        verdicts = (
            all(word in text for word in self.search.lower().split()),
            self.owner.lower() in (model.owner or "").lower(),
            _has(model.takes, self.takes),
            _has(model.makes, self.makes),
            _has(model.features, self.supports),
            _costs_nothing(model) if self.free else True,
            True if self.max_price is None else _within(model, Decimal(str(self.max_price))),
        )
        return False if False in verdicts else None if None in verdicts else True


def _has(found: Sequence[str] | None, wanted: Sequence[str]) -> bool | None:
    if not wanted:
        return True
    return None if found is None else set(wanted) <= set(found)


def _costs_nothing(model: Listed) -> bool | None:
    return model.free if model.price_known else None


def _within(model: Listed, most: Decimal) -> bool | None:
    """The most is for 1 million prompt tokens, of models that make no text for a call; of those that write for a price
    a call only free ones are within."""
    if model.makes is not None and "text" not in model.makes:
        return None if model.per_call is None else model.per_call <= most
    if model.per_call is not None:
        return model.free
    return None if model.prompt is None else model.prompt * _MILLION <= most


def run(wanted: Wanted, *, provider: str | None, sort: str | None, as_json: bool, refresh: bool = False) -> None:
    wanted.check()
    if refresh and provider not in (None, "poe"):
        raise UsageFault("--refresh is about Poe's list; with --provider a list is fetched anyway")
    if sort is not None and sort not in _ORDERS:
        raise UsageFault(f"--sort {sort!r} is not known; there are {', '.join(_ORDERS)}")
    everything, source = _fetched(provider) if provider and not refresh else _in_force(refresh)
    verdicts = [(model, wanted.matches(model)) for model in everything]
    found = [model for model, verdict in verdicts if verdict]
    if sort is not None:
        found.sort(key=_ORDERS[sort])
    if as_json:
        terminal.print_json([model.row for model in found])
        return
    if found:
        terminal.write(_table(found))
    unsure = sum(verdict is None for _, verdict in verdicts)
    more = f"; {unsure} more may fit, but what was asked for is not known of them" if unsure else ""
    terminal.note(f"{len(found)} of {len(everything)} models, {source}{more}.")
    if found:
        terminal.note(
            "Prices are USD: for 1 million tokens, prompt / answer, or for a call. ?: unknown, *: deprecated."
        )


def catalogue_in_force(refresh: bool = False) -> Catalogue:
    """Poe's list as it was last fetched, else the shipped one, in either case corrected."""
    from quoth.sdk.catalogue import models, poe_catalogue

    if refresh:
        with terminal.waiting("poe"):
            models(refresh=True)
    return poe_catalogue()


def row_of(facts: ModelFacts, catalogue: Catalogue) -> dict[str, Any]:
    """A model for `--json`: its facts and where they are from. What only some models have is left out for others."""
    row = {**msgspec.to_builtins(facts), "source": msgspec.to_builtins(catalogue.source(facts))}
    return {name: value for name, value in row.items() if value or name not in ("prompt_limit", "corrections")}


def _in_force(refresh: bool) -> tuple[list[Listed], str]:
    catalogue = catalogue_in_force(refresh)
    found = [from_facts(facts, row_of(facts, catalogue)) for facts in catalogue if facts.status != RETIRED]
    newest = catalogue.sources[0]
    if newest.fetched is not None:
        return found, f"Poe's list as fetched on {newest.date}"
    dates = sorted({catalogue.source(facts).date for facts in catalogue})
    return found, f"Poe's list of {dates[0]} with additions until {dates[-1]}"


def _fetched(provider: str) -> tuple[list[Listed], str]:
    from quoth.sdk.client import Client

    with Client() as client, terminal.waiting(provider):
        models = client.models.list(provider)
    return [from_provider(model.model_dump(mode="json")) for model in models], f"the list that {provider} gives now"


def _table(models: Sequence[Listed]) -> str:
    """The table as text. In a pipe it is as wide as it needs to be; on a narrow terminal the last columns give way."""
    from rich.measure import Measurement
    from rich.table import Table

    is_terminal = terminal.is_terminal(sys.stdout)
    console = terminal.console(sys.stdout, width=None if is_terminal else _ANY_WIDTH)
    columns = [(heading, [cell(model) for model in models]) for heading, cell in _COLUMNS]
    left_out: list[str] = []
    while True:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading, _ in columns:
            table.add_column(terminal.fit(heading, sys.stdout), no_wrap=True, justify=_JUSTIFY.get(heading, "left"))
        for row in zip(*(cells for _, cells in columns), strict=True):
            table.add_row(*(terminal.fit(terminal.harmless(cell, sys.stdout), sys.stdout) for cell in row))
        width = Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum
        if width <= console.width or len(columns) == _NEVER_LEFT_OUT:
            break
        left_out.insert(0, columns.pop()[0])
    if left_out:
        terminal.note(f"Not shown, for want of width: {', '.join(left_out)}.")
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _name(model: Listed) -> str:
    return f"{model.id}*" if model.row.get("status") == "deprecated" else model.id


def _kinds(kinds: Sequence[str] | None) -> str:
    return "?" if kinds is None else "+".join(kinds) or "-"


def _count(tokens: int | None) -> str:
    """A context window; providers say 0 where they mean that they do not know."""
    if not tokens:
        return "?"
    if tokens < 1000:
        return str(tokens)
    return f"{tokens / 1000:.0f}k" if tokens < 999_500 else f"{tokens / 1_000_000:.1f}M"


def _price(model: Listed) -> str:
    if model.free:
        return "free"
    if model.per_call is not None:
        return f"{_amount(model.per_call)} a call"
    if model.prompt is None:
        return "?"
    answer = "?" if model.completion is None else _amount(model.completion * _MILLION)
    return f"{_amount(model.prompt * _MILLION)} / {answer}"


def _amount(usd: Decimal) -> str:
    text = f"{usd.quantize(Decimal('0.01')) if usd >= 1 else usd.normalize():f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals:0<2}"


def _features(model: Listed) -> str:
    return "?" if model.features is None else " ".join(model.features)


# In the order of worth.
_COLUMNS: tuple[tuple[str, Callable[[Listed], str]], ...] = (
    ("model", _name),
    ("price", _price),
    ("context", lambda model: _count(model.context)),
    ("in → out", lambda model: f"{_kinds(model.takes)} → {_kinds(model.makes)}"),
    ("owner", lambda model: model.owner or "?"),
    ("features", _features),
)
_JUSTIFY: dict[str, Literal["right"]] = {"price": "right", "context": "right"}
_NEVER_LEFT_OUT = 3
_ANY_WIDTH = 10_000
