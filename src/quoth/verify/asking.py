"""One request to Poe as it is on the wire, and what it may cost.

The SDK would mend a call before it goes out and an answer when it comes in; what is to be seen here is Poe itself. So
requests go straight to the transport. Before a call is made its worst case is reserved in a budget, and in those of the
process.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from quoth.call import Target, WireRequest
from quoth.engine.purse import Reservation
from quoth.errors import BudgetExceededError
from quoth.providers import pricing
from quoth.providers.catalogue import shipped
from quoth.providers.costs import Most
from quoth.providers.rows import Registry
from quoth.sdk.budget import Budget, current
from quoth.transport.ports import Deadline, Transport, TransportFailure
from quoth.wire.sse import EventTooLarge, SSEDecoder

__all__ = ["CHAT", "MESSAGES", "RESPONSES", "Asker", "Exchange", "OverCap"]

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
LARGEST_ANSWER = 32 * 1024 * 1024
# What says something about how Poe serves; the rest may say something about who asked.
_HEADERS = (
    "access-control-allow-headers",
    "access-control-allow-origin",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "content-type",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "x-poe-feature-active",
)
_HEADERS_BY_NAME = ("x-request-id", "x-ratelimit-")
# Statuses that say nothing about the fact that was asked after: points, rights, load, faults.
_NO_EVIDENCE = frozenset({402, 403, 408, 413, 429, *range(500, 600)})
_TIMEOUT = 180.0


class OverCap(Exception):
    """The next call could cost more than is left; the message is the budget's."""


@dataclass(slots=True)
class Exchange:
    """A request and its answer. `answer` is decoded if it was JSON; `events` are those of a stream, decoded, but for
    the text "[DONE]". Without an answer, `failure` says why."""

    method: str
    path: str
    request: Any = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    answer: Any = None
    events: list[Any] = field(default_factory=list)
    failure: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 200 and not self.failure

    @property
    def refused(self) -> bool:
        """The request itself was found wrong."""
        return self.status in (400, 422) and not self.failure

    @property
    def no_evidence(self) -> str:
        """Why the answer says nothing about the fact that was asked after; "" when it does."""
        if self.failure:
            return self.failure
        return f"Poe answered {self.status}: {self.said}" if self.status in _NO_EVIDENCE else ""

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal; {} when there is none."""
        found = self.answer.get("error") if isinstance(self.answer, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def said(self) -> str:
        """The answer as text, shortened; without figures where they would be an account's."""
        text = self.answer if isinstance(self.answer, str) else msgspec.json.encode(self.answer).decode()
        if self.path.startswith("/usage/") or self.status in (402, 403):
            text = re.sub(r"\d[\d,.]+", "N", text)
        return text if len(text) <= 200 else f"{text[:200]}…"

    @property
    def choice(self) -> dict[str, Any]:
        """The first choice of an answer; {} when there is none."""
        choices = self.answer.get("choices") if isinstance(self.answer, dict) else None
        return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}

    @property
    def message(self) -> dict[str, Any]:
        found = self.choice.get("message")
        return found if isinstance(found, dict) else {}

    @property
    def content(self) -> str:
        found = self.message.get("content")
        return found if isinstance(found, str) else ""


class Asker:
    """Asks one Poe with one key, and keeps what was said and what it cost, in USD."""

    def __init__(self, base_url: str, key: str, transport: Transport, cap: Decimal):
        self.origin = base_url.removesuffix("/v1")
        self.key = key
        self._budget = Budget(cap)
        self.exchanges: list[Exchange] = []
        self.listed: frozenset[str] = frozenset()
        self._transport = transport

    @property
    def cap(self) -> Decimal:
        return self._budget.usd

    @property
    def spent(self) -> Decimal:
        return self._budget.spent

    def model(self, *candidates: str) -> str:
        """The first of these models that Poe lists today; the first of all while the list is not known."""
        return next((name for name in candidates if name in self.listed), candidates[0])

    def chat(self, model: str, prompt: str, *, max_tokens: int | None = 60, **params: Any) -> Exchange:
        """A chat request in OpenAI's shape. Raises OverCap."""
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens, **params}
        return self.ask("POST", CHAT, {name: value for name, value in body.items() if value is not None})

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "",
        raw: bytes | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Any request; `key` None sends none, `raw` is a body that is not JSON. Raises OverCap."""
        price = _price_of(body)
        reservation = self._reserve(str(body.get("model")) if isinstance(body, dict) else "", _most(price, body))
        exchange = Exchange(method, path, body if raw is None else raw.decode())
        self.exchanges.append(exchange)
        headers = {"accept": "application/json", "user-agent": "quoth-verify", **(extra or {})}
        if key is not None:
            headers["authorization"] = f"Bearer {key or self.key}"
        data = b"" if body is None and raw is None else raw or msgspec.json.encode(body)
        if data:
            headers["content-type"] = "application/json"
        self._exchange(exchange, WireRequest(method, f"{self.origin}{path}", headers, data))
        reservation.settle(_settled(exchange, price))
        return exchange

    def _reserve(self, model: str, most: Most) -> Reservation:
        row = Registry().get("poe")
        assert row is not None
        with self._budget:
            purse = current()
        assert purse is not None
        try:
            return purse.reserve(Target(row, model, self.origin), most)
        except BudgetExceededError as error:
            raise OverCap(error.message) from None

    def _exchange(self, exchange: Exchange, request: WireRequest) -> None:
        limits = Deadline(connect=10, first=_TIMEOUT, idle=60, end=time.monotonic() + 2 * _TIMEOUT)
        try:
            reply = self._transport.open(request, limits)
            try:
                exchange.status = reply.status
                exchange.headers = _kept(reply.headers)
                pieces, size = [], 0
                while piece := reply.read():
                    pieces.append(piece)
                    size += len(piece)
                    if size > LARGEST_ANSWER:
                        raise TransportFailure("read", f"answered more than {LARGEST_ANSWER} bytes")
            finally:
                reply.close()
        except TransportFailure as failure:
            exchange.failure = f"no answer: {failure}"
            return
        body = b"".join(pieces)
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            try:
                exchange.events = [_decoded(event.data) for event in SSEDecoder().feed(body)]
            except EventTooLarge:
                exchange.failure = "no answer: an event too large to be read"
        else:
            exchange.answer = _decoded(body)
            if isinstance(exchange.answer, str) and "json" in reply.headers.get("content-type", ""):
                exchange.failure = f"no answer: what came is not JSON: {exchange.said}"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name: headers[name] for name in _HEADERS if name in headers}
    return found | {name: "…" for name in headers if name.startswith(_HEADERS_BY_NAME)}


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data.decode("utf-8", "replace")


def _handle(name: str) -> str:
    """Poe's handle for one of Anthropic's names, which have a date, and hyphens where a handle has a dot."""
    return re.sub(r"-(\d)-(\d)$", r"-\1.\2", re.sub(r"-\d{8}$", "", name))


def _counts(answer: dict[str, Any]) -> Iterator[dict[str, int]]:
    """The usage of an answer, or of the answer that an event holds, in the words of chat.

    What Anthropic cached is counted as the tokens of the prompt that cost as much: writing 1.25, reading 0.1.
    """
    for one in (answer, answer.get("response"), answer.get("message")):
        usage = one.get("usage") if isinstance(one, dict) else None
        if not isinstance(usage, dict):
            continue
        count = {name: value for name, value in usage.items() if isinstance(value, int)}
        if "input_tokens" in count:
            written, read = count.get("cache_creation_input_tokens", 0), count.get("cache_read_input_tokens", 0)
            count["prompt_tokens"] = count["input_tokens"] + round(1.25 * written + 0.1 * read)
        if "output_tokens" in count:
            count["completion_tokens"] = count["output_tokens"]
        yield count


def _price_of(body: Any) -> Mapping[str, str | None] | None:
    """The price of the model that is called; {} where nobody is."""
    if not isinstance(body, dict):
        return {}
    facts = shipped().get(_handle(str(body.get("model"))))
    return facts.price if facts is not None else {}


def _most(price: Mapping[str, str | None] | None, body: Any) -> Most:
    """The most that a call can cost. A model that thinks may do so beyond `max_tokens`: 2,000 tokens are set aside."""
    if price is None:
        return Most(None, "its price is not known")
    if not price or not isinstance(body, dict):
        return Most(Decimal(0))
    prompt = len(msgspec.json.encode(body)) + 500
    longest = int(body.get("max_tokens") or body.get("max_completion_tokens") or 500) + 2_000
    return Most(
        pricing.usd(price, prompt_tokens=prompt, completion_tokens=longest), "only a part of its price is known"
    )


def _settled(exchange: Exchange, price: Mapping[str, str | None] | None) -> Decimal | None:
    """What a call did cost, as far as its answer says; None for one that may have cost all that was reserved."""
    if not price or (exchange.status and not exchange.ok):
        return Decimal(0)
    if exchange.failure:
        return None
    answers = [event for event in exchange.events if isinstance(event, dict)] or [exchange.answer]
    counts = [count for one in answers if isinstance(one, dict) for count in _counts(one)]
    prompt, completion = (
        max((count[name] for count in counts if isinstance(count.get(name), int)), default=None)
        for name in ("prompt_tokens", "completion_tokens")
    )
    if prompt is None or completion is None:
        return None
    reasoning = str(exchange.message.get("reasoning") or "")
    return pricing.usd(price, prompt_tokens=prompt, completion_tokens=completion + len(reasoning) // 3)
