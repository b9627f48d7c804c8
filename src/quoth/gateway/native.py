"""A caller's request in the Messages or the Responses API, for a candidate that serves it: every entry keeps its bytes,
but for the model's name and what a quirk of the provider has to mend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from quoth.call import FixedHeaders, WireRequest
from quoth.engine.routing import Candidate
from quoth.gateway.asked import Asked
from quoth.gateway.entries import Entries, joined, kinds, opened
from quoth.providers.costs import facts_of
from quoth.providers.quirks import mended, quirks_of
from quoth.providers.wires import takes_form, takes_tools, wants_form
from quoth.types import Warning
from quoth.wire.wires import Wire

__all__ = ["FORWARDED", "NativeShape"]

# Entries that a quirk may have something to mend in.
_OPENED = frozenset({"background", "conversation", "instructions", "previous_response_id", "prompt"})
# What holds turns and marks for the prompt cache, and what those that Poe does not know are found by.
_MARKED = frozenset({"messages", "system", "tools"})
_BETA_MARK = b'"scope"'
_SYSTEM_TURN = re.compile(rb'"role"\s*:\s*"system"')
# Where a request of the Messages API says which form the answer is to have.
_FORMS_IN_ORDER = ("output_config", "output_format")
_FORMS = frozenset(_FORMS_IN_ORDER)
_NONE: frozenset[str] = frozenset()
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
# Headers of a caller's that are Anthropic's to read.
FORWARDED = (b"anthropic-version", b"anthropic-beta")


class NativeShape:
    """What is the same for every call to one candidate over one of its own wires."""

    __slots__ = (
        "_cap",
        "_defaults",
        "_dropped",
        "_headers",
        "_mends",
        "_model",
        "_needs_cap",
        "_stream_headers",
        "_takes_form",
        "_takes_tools",
        "_url",
        "_wire",
        "target",
    )

    def __init__(self, candidate: Candidate, wire: Wire):
        self.target = replace(candidate.target, wire=wire.name)
        self._wire = wire
        plain, streamed = wire.head(self.target, False), wire.head(self.target, True)
        self._url = plain.url
        self._headers, self._stream_headers = FixedHeaders(plain.headers), FixedHeaders(streamed.headers)
        self._model = msgspec.Raw(msgspec.json.encode(self.target.model))
        self._takes_tools = takes_tools(candidate.target, wire.name)
        self._defaults = self._said(candidate.deployment.params)
        self._dropped = candidate.deployment.additional_drop_params
        self._mends = any(quirk.mend is not None for quirk in quirks_of(self.target))
        facts = facts_of(self.target)
        self._takes_form = takes_form(self.target, wire.name, facts)
        self._cap = None if facts is None else facts.max_output_tokens
        self._needs_cap = wire.name == "anthropic_messages"

    def takes(self, entries: Entries) -> bool:
        """False for what another wire of the model's is better for."""
        if not self._takes_tools and "tools" in entries:
            return False
        if self._takes_form or _FORMS.isdisjoint(entries):
            return True
        return not wants_form(*(opened(entries, name) if name in entries else None for name in _FORMS_IN_ORDER))

    def request(
        self,
        asked: Asked,
        headers: Mapping[bytes, bytes],
        warnings: list[Warning],
        overrides: Mapping[str, Any] | None,
    ) -> WireRequest:
        """The request for this candidate. Raises QuothError for what it cannot be asked."""
        entries, body = asked.entries, asked.body
        changed: Entries = {name: raw for name, raw in self._defaults.items() if name not in entries}
        if overrides:
            changed |= self._said(overrides)
        if entries["model"] != self._model:
            changed["model"] = self._model
        if self._dropped and not entries.keys().isdisjoint(self._dropped):
            body = None
            for name in self._dropped:
                if name in entries:
                    text = f"{name} was left out, as additional_drop_params asks"
                    warnings.append(Warning("dropped", name, text))
            entries = {name: raw for name, raw in entries.items() if name not in self._dropped}
        if self._needs_cap and "max_tokens" not in entries and "max_tokens" not in changed:
            filled, lost = self._wire.from_chat({"max_tokens": self._cap})
            changed["max_tokens"] = msgspec.Raw(msgspec.json.encode(filled["max_tokens"]))
            warnings += lost
        if self._mends:
            marked = self._needs_cap and _has_more(asked.body or joined(entries))
            entries, dropped = self._mended(entries, warnings, _MARKED if marked else _NONE)
            body = None if dropped else body
        if changed or body is None:
            body = joined({**entries, **changed})
        sent: Mapping[str, str] = self._stream_headers if asked.stream else self._headers
        more = {name.decode(): headers[name].decode("latin-1") for name in FORWARDED if headers.get(name)}
        if more and self._needs_cap:
            if self.target.provider == "poe" and more.pop("anthropic-beta", ""):
                text = "the header anthropic-beta was left out: Poe knows no betas"
                warnings.append(Warning("beta_field_removed", "anthropic-beta", text))
            if any(sent.get(name) != value for name, value in more.items()):
                sent = {**sent, **more}
        return WireRequest("POST", self._url, sent, body)

    def _said(self, params: Mapping[str, Any]) -> Entries:
        """Parameters of the settings, which are in chat's words, in those of this wire."""
        if not params:
            return {}
        document, _ = self._wire.from_chat(params)
        asked = {name for name in ("max_tokens", "max_completion_tokens") if params.get(name) is not None}
        return {
            name: msgspec.Raw(msgspec.json.encode(value))
            for name, value in document.items()
            if name != "model"
            and (name not in ("messages", "input") or "messages" in params)
            and (name != "max_tokens" or asked)
        }

    def _mended(
        self, entries: Entries, warnings: list[Warning], marked: frozenset[str] = _NONE
    ) -> tuple[Entries, bool]:
        """The entries as the provider takes them. Opened only where a quirk may have something to say; `marked` is what
        has to be looked into too."""
        document: dict[str, Any] = dict(entries)
        document |= {name: opened(entries, name) for name in marked & entries.keys()}
        refers = "item_reference" in kinds(entries.get("input"))
        if refers or not _OPENED.isdisjoint(entries):
            document |= {name: opened(entries, name) for name in _OPENED & entries.keys()}
            if "input" in entries:
                document["input"] = opened(entries, "input") if refers else _items(entries)
        found, said = mended(document, self.target)
        warnings += said
        if found is document:
            return entries, False
        return {
            name: value
            if isinstance(value, msgspec.Raw)
            else entries[name]
            if name in entries and document.get(name) is value
            else msgspec.Raw(msgspec.json.encode(value))
            for name, value in found.items()
        }, True


def _has_more(body: bytes) -> bool:
    """True for a request that may have a mark or a turn which not everybody knows."""
    return _BETA_MARK in body or _SYSTEM_TURN.search(body) is not None


def _items(entries: Entries) -> Any:
    """The input of a response: a text, or items whose bytes stay as they are."""
    try:
        return _ITEMS.decode(entries["input"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return opened(entries, "input")
