"""A caller's body as one candidate gets it: every entry that no rule names keeps its bytes.

What may have to be opened is worked out once for each candidate. The rules themselves are those of
`quoth.providers.params`; here is only which entries they are asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from quoth.call import Call, FixedHeaders, WireRequest
from quoth.engine.routing import Candidate
from quoth.gateway.asked import Asked
from quoth.gateway.entries import Entries, joined, opened, ordinary, outline
from quoth.providers.costs import facts_of
from quoth.providers.params import OPENAI_PARAMS, prepare
from quoth.providers.quirks import QUIRKS, Outline
from quoth.types import Warning
from quoth.wire import openai_chat

__all__ = ["Shape"]

_USAGE_ASKED = msgspec.Raw(b'{"include_usage":true}')
_MESSAGES = "messages"
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# A relay on the caller's own wire leaves these as they were sent.
_AS_SENT = frozenset({"model", _MESSAGES, "stream", "stream_options", "reasoning_effort"})


class Shape:
    """What is the same for every call to one candidate. `url` and `headers` are where it goes and what says so;
    `over_chat`: it is served over chat, so that nothing has to be told in other words."""

    __slots__ = (
        "_call",
        "_opened",
        "_ordinary",
        "_plain",
        "_target",
        "_whens",
        "asks_usage",
        "defaults",
        "headers",
        "makes_media",
        "model",
        "over_chat",
        "path",
        "stream_headers",
        "url",
        "warnings",
    )

    def __init__(
        self,
        candidate: Candidate,
        *,
        drop_params: bool = False,
        path: str = "/chat/completions",
        over_chat: bool = True,
    ):
        target, deployment = candidate.target, candidate.deployment
        facts = facts_of(target)
        self._target = target
        self.model = msgspec.Raw(msgspec.json.encode(target.model))
        self.path = path
        self.over_chat = over_chat
        self.url = openai_chat.address(target, path)
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            **openai_chat.authorization(target),
            **target.headers,
        }
        self.headers = FixedHeaders(headers)
        self.stream_headers = FixedHeaders({**headers, "accept": "text/event-stream"})
        self.defaults: Entries = {
            name: msgspec.Raw(msgspec.json.encode(value)) for name, value in deployment.params.items()
        }
        self.makes_media = facts is not None and facts.makes_media
        self.asks_usage = target.row.stream_usage == "ask"
        self._call = Call(
            model=target.model,
            messages=[],
            drop_params=drop_params if deployment.drop_params is None else deployment.drop_params,
            additional_drop_params=deployment.additional_drop_params,
            allowed_openai_params=deployment.allowed_openai_params,
        )
        declared = {parameter.name for parameter in (facts.parameters or ())} if facts is not None else set()
        opened_names = {*target.row.params, *declared, *deployment.additional_drop_params, "extra_body"}
        opened_names |= {path.partition(".")[0] for path in deployment.additional_drop_params}
        if target.row.max_stop is not None:
            opened_names.add("stop")
        quirks = [QUIRKS[name] for name in target.row.quirks if name in target.quirks and name in QUIRKS]
        if any(quirk.apply is not None and quirk.when is None for quirk in quirks) or (
            facts is not None and facts.supported_features is not None and "tools" not in facts.supported_features
        ):
            opened_names |= {"tools", "tool_choice", "parallel_tool_calls"}  # which make sense together alone
        if "n_as_parallel_calls" in target.quirks:
            opened_names.add("n")
        # With a catalogue everything that is no field of OpenAI's is held against it; without one, what no rule of the
        # row names travels as it is.
        plain = _AS_SENT if self.makes_media else (OPENAI_PARAMS - opened_names) | _AS_SENT
        self._plain = None if target.catalogue is None else frozenset(plain)
        self._opened = frozenset(opened_names - _AS_SENT)
        # What is said of the model itself, whatever is asked.
        _, self.warnings = prepare(self._call, target)
        whens = (quirk.when for quirk in quirks if quirk.when is not None)
        self._whens = tuple(whens) if path == "/chat/completions" else ()
        # Of messages with these roles, and a text each, no quirk wants anything.
        self._ordinary = frozenset(role for role in _ROLES if not any(when(Outline({role})) for when in self._whens))

    def request(
        self, asked: Asked, warnings: list[Warning], today: Callable[[], datetime], overrides: Mapping[str, Any] | None
    ) -> WireRequest:
        """The request for this candidate. Raises QuothError for what it is known to refuse."""
        stream = asked.stream
        headers = self.stream_headers if stream else self.headers
        entries = asked.entries
        body = asked.body
        changed: Entries | None = None
        if overrides:
            changed = {
                **entries,
                **{name: msgspec.Raw(msgspec.json.encode(value)) for name, value in overrides.items()},
            }
        if self.defaults and not self.defaults.keys() <= entries.keys():
            changed = {**self.defaults, **(entries if changed is None else changed)}
        current = entries if changed is None else changed
        plain = self._plain
        unplain: Any = ()
        if plain is None:
            unplain = current.keys() & self._opened
        elif not plain.issuperset(current):
            unplain = current.keys() - plain
        messages = bool(self._whens) and self._concerns(current[_MESSAGES])
        if unplain or messages:
            changed = self._prepared(self._call_of(asked), current, unplain, messages, warnings, today)
            current = changed
        if stream and self.asks_usage and not asked.usage:
            changed = dict(current)
            changed["stream_options"] = _with_usage(current)
            current = changed
        if current["model"] != self.model:
            if changed is None:
                changed = dict(current)
            changed["model"] = self.model
        if changed is not None or body is None:
            body = joined(current if changed is None else changed)
        return WireRequest("POST", self.url, headers, body)

    def _concerns(self, messages: msgspec.Raw) -> bool:
        if ordinary(messages, self._ordinary):
            return False
        found = outline(messages)
        return any(when(found) for when in self._whens)

    def _call_of(self, asked: Asked) -> Call:
        """What a caller says of the rules in general goes before what the settings say."""
        own = asked.steering.get("drop_params") if asked.steering else None
        return self._call if own is None or own is self._call.drop_params else replace(self._call, drop_params=own)

    def _prepared(
        self,
        call: Call,
        entries: Entries,
        names: Any,
        with_messages: bool,
        warnings: list[Warning],
        today: Callable[[], datetime],
    ) -> Entries:
        """The entries after the rules; those that the rules left alone keep their bytes."""
        # In their order, so that what is sent is too.
        params = {name: opened(entries, name) for name in entries if name in names and name not in _AS_SENT}
        before = dict(params)
        messages = opened(entries, _MESSAGES) if with_messages else []
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            messages = []  # the provider says what is wrong with them
        body, found = prepare(replace(call, messages=messages, params=params), self._target, today())
        warnings += [warning for warning in found if warning not in self.warnings]
        shaped: Entries = {}
        for name, raw in entries.items():
            if name in before:
                if name in body:
                    value = body[name]
                    shaped[name] = raw if value is before[name] or value == before[name] else _encoded(value)
            elif name == _MESSAGES and with_messages and body[_MESSAGES] is not messages:
                shaped[name] = raw if body[_MESSAGES] == messages else _encoded(body[_MESSAGES])
            else:
                shaped[name] = raw
        for name, value in body.items():
            if name not in shaped and name not in _AS_SENT:
                shaped[name] = _encoded(value)
        return shaped


def _encoded(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _with_usage(entries: Entries) -> msgspec.Raw:
    if "stream_options" not in entries:
        return _USAGE_ASKED
    options = opened(entries, "stream_options")
    return msgspec.Raw(msgspec.json.encode({**(options or {}), "include_usage": True}))
