"""A caller's request in the Messages or the Responses API, for a candidate that serves it: every entry keeps its bytes,
but for the model's name and what a quirk of the provider has to mend."""

from __future__ import annotations

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
from quoth.types import Warning
from quoth.wire.wires import Wire

__all__ = ["NativeShape"]

# Entries that a quirk may have something to mend in.
_OPENED = frozenset({"background", "conversation", "instructions", "previous_response_id", "prompt"})
_FORWARDED = (b"anthropic-version", b"anthropic-beta")


class NativeShape:
    """What is the same for every call to one candidate over one of its own wires."""

    __slots__ = (
        "_cap",
        "_defaults",
        "_headers",
        "_mends",
        "_model",
        "_needs_cap",
        "_stream_headers",
        "_url",
        "_wire",
        "target",
    )

    def __init__(self, candidate: Candidate, wire: Wire):
        self.target = replace(candidate.target, wire=wire.name)
        self._wire = wire
        plain = wire.encode_document(self.target, {})
        streamed = wire.encode_document(self.target, {"stream": True})
        self._url = plain.url
        self._headers, self._stream_headers = FixedHeaders(plain.headers), FixedHeaders(streamed.headers)
        self._model = msgspec.Raw(msgspec.json.encode(self.target.model))
        self._defaults: Entries = {
            name: msgspec.Raw(msgspec.json.encode(value)) for name, value in candidate.deployment.params.items()
        }
        self._mends = any(quirk.mend is not None for quirk in quirks_of(self.target))
        facts = facts_of(self.target)
        self._cap = None if facts is None else facts.max_output_tokens
        self._needs_cap = wire.name == "anthropic_messages"

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
        for name, value in (overrides or {}).items():
            changed[name] = msgspec.Raw(msgspec.json.encode(value))
        if entries["model"] != self._model:
            changed["model"] = self._model
        if self._needs_cap and "max_tokens" not in entries:
            filled, lost = self._wire.from_chat({"max_tokens": self._cap})
            changed["max_tokens"] = msgspec.Raw(msgspec.json.encode(filled["max_tokens"]))
            warnings += lost
        if self._mends:
            entries, dropped = self._mended(entries, warnings)
            body = None if dropped else body
        if changed or body is None:
            body = joined({**entries, **changed})
        sent: Mapping[str, str] = self._stream_headers if asked.stream else self._headers
        more = {name.decode(): headers[name].decode("latin-1") for name in _FORWARDED if name in headers}
        if more and self._needs_cap:
            if self.target.provider == "poe" and more.pop("anthropic-beta", ""):
                text = "the header anthropic-beta was left out: Poe knows no betas"
                warnings.append(Warning("beta_field_removed", "anthropic-beta", text))
            if any(sent.get(name) != value for name, value in more.items()):
                sent = {**sent, **more}
        return WireRequest("POST", self._url, sent, body)

    def _mended(self, entries: Entries, warnings: list[Warning]) -> tuple[Entries, bool]:
        """The entries as the provider takes them. Opened only where a quirk may have something to say."""
        document: dict[str, Any] = dict(entries)
        if not _OPENED.isdisjoint(entries) or "item_reference" in kinds(entries.get("input")):
            document = {name: opened(entries, name) for name in entries}
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
