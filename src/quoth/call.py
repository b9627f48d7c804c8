"""What travels between the rooms: a Call, the Target it goes to, the WireRequest that is sent, the Timeouts it is
given.

Plain frozen data, no behaviour. `Row` and `Rule` are what a provider's TOML file says of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

__all__ = ["Call", "FixedHeaders", "Row", "Rule", "Target", "Timeouts", "WireRequest"]


class Timeouts(msgspec.Struct, frozen=True):
    """Deadlines in seconds.

    `connect`: until a connection stands. `first`: until the first good chunk of a stream, or the head of an answer that
    is not streamed. `idle`: between two pieces of an answer. `total`: one target, its retries included. A field left
    None takes the default: connect 5, first 120, idle 60, total 600; for models that make images, audio or video first
    900, total 1800; an answer that is not streamed is then bounded by the total alone.
    """

    connect: float | None = None
    first: float | None = None
    idle: float | None = None
    total: float | None = None


class Rule(msgspec.Struct, frozen=True):
    """What becomes of one parameter on its way to a provider; a parameter without a rule is sent as given.

    refused: the provider answers 400 to it, so it is an UnsupportedParamsError before sending, but for the values that
    are `allowed`. renamed: sent as `to`. mapped: its value is replaced by `values`. ignored: sent, though the provider
    documents that it has no effect.
    """

    rule: Literal["refused", "renamed", "mapped", "ignored"]
    to: str | None = None
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    allowed: tuple[Any, ...] = ()
    why: str = ""
    source: str = ""
    checked: str = ""


class Row(msgspec.Struct, frozen=True):
    """A provider: nothing but data.

    `checked` is the ISO day on which the facts were compared with `docs`, or "unverified". `stream_usage`: "ask" (send
    `stream_options.include_usage`), "given" (comes unasked) or "none". `json_schema`: patterns of the models that
    honour a JSON schema in `response_format`. `quirks`: names from `quoth.providers.quirks`. `retired`: the ISO day on
    which the provider switched the service off; calls are still made, and their errors say so. `calls_per_minute`: what
    the provider allows one key, where that is known and does not depend on the account. `embeddings`: it has OpenAI's
    embeddings.
    """

    name: str
    base_url: str
    title: str = ""
    key_env: tuple[str, ...] = ()
    base_env: tuple[str, ...] = ()
    key_required: bool = True
    docs: str = ""
    checked: str = "unverified"
    wires: tuple[str, ...] = ("openai_chat",)
    stream_usage: Literal["ask", "given", "none"] = "ask"
    json_schema: tuple[str, ...] = ("*",)
    max_stop: int | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    params: Mapping[str, Rule] = msgspec.field(default_factory=dict)
    quirks: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    retired: str = ""
    calls_per_minute: int | None = None
    embeddings: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Who is called and how: provider, wire, URL, key and the provider's own name of the model.

    `fixed_wire`: the wire was asked for, and is none that a call may choose. `headers` and `query` are sent along; a
    header that says who is calling wins over the key. `catalogue` is the `quoth.providers.catalogue.Catalogue` that
    knows the provider's models, None where there is none.
    """

    row: Row = field(repr=False)
    model: str
    base_url: str
    key: str | None = field(default=None, repr=False)
    wire: str = "openai_chat"
    fixed_wire: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    quirks: frozenset[str] = frozenset()
    query: Mapping[str, Any] | None = None
    catalogue: Any = field(default=None, repr=False, compare=False)

    @property
    def provider(self) -> str:
        return self.row.name


class Call(msgspec.Struct, frozen=True):
    """What the user asked for.

    `messages` and `params` are as given, plain JSON values; `params` holds only what travels to the provider, in the
    order given. `output_type` is a pydantic class when structured output was asked for by class. `wire` is the one that
    was asked for, None to let the model and the call decide. `surface` is the wire whose shape the caller speaks, and
    `document` the request as it was given there: a target of the same wire gets that, any other what `messages` and
    `params` say of it.
    """

    model: str
    messages: list[Any]
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    stream: bool = False
    output_type: Any = None
    drop_params: bool = False
    additional_drop_params: tuple[str, ...] = ()
    allowed_openai_params: tuple[str, ...] = ()
    strict: bool = False
    keep_usage_chunk: bool = False
    wire: str | None = None
    surface: str = "openai_chat"
    document: Mapping[str, Any] | None = None


class FixedHeaders(dict[str, str]):
    """Headers that go out again and again, unchanged. `lines` are they as HTTP/1.1 has them, made once; `starts` are
    whole heads but for their last lines, by method and URL, as whoever sends them has made them."""

    __slots__ = ("lines", "starts")

    def __init__(self, headers: Mapping[str, str]):
        super().__init__(headers)
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.starts: dict[tuple[str, str], bytes] = {}


class WireRequest(msgspec.Struct, frozen=True):
    """One HTTP request, ready to send. `headers` may hold the key and is kept out of the repr."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"WireRequest(method={self.method!r}, url={self.url!r})"
