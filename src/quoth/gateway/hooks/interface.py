"""What a hook is, what it sees, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from quoth.errors import QuothError
from quoth.gateway.exchange import Caller, Exchange

__all__ = ["REMOVED", "Call", "Hook", "HookFailed", "Refuse", "Reply"]

REMOVED: Any = type("Removed", (), {"__repr__": lambda self: "REMOVED", "__slots__": ()})()


class Call:
    """One call as hooks see it. `surface`: which API ("chat", "completions", "embeddings" ...). `body`: the request's
    JSON object as it stands now. `headers`: the request's, names in lower case, credentials left out. `notes` is for
    hooks, to remember something until the end of the call. In `chunk` and `end`, `choice` and `field` say which text a
    piece belongs to (0 and "content" first of all), and each text has `notes` of its own.
    """

    __slots__ = ("body", "caller", "choice", "client", "field", "headers", "id", "method", "notes", "route", "surface")

    def __init__(self, exchange: Exchange, caller: Caller, headers: Mapping[str, str], body: dict[str, Any]):
        self.id = exchange.id
        self.method, self.route, self.surface = exchange.method, exchange.route, exchange.surface
        self.client = exchange.client
        self.caller = caller
        self.headers = headers
        self.body = body
        self.notes: dict[str, Any] = {}
        self.choice, self.field = 0, ""

    def of(self, choice: int, field: str) -> Call:
        """The same call, for one of the texts of its answer."""
        one = copy(self)
        one.choice, one.field, one.notes = choice, field, {**self.notes}
        return one

    @property
    def model(self) -> str:
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True


class Refuse(QuothError):
    """Raised by a hook: the call is not made, or its answer not given. `status` is what the caller gets."""

    slug = "hook_refused"

    def __init__(self, message: str, status: int = 400, **facts: Any):
        super().__init__(str(message), status_code=status if 400 <= status < 600 else 400, **facts)


class HookFailed(QuothError):
    """A hook that guards failed, or took too long. What it guards is refused."""

    status, slug = 500, "hook_failed"


class Reply(QuothError):
    """Raised by a hook: the caller gets this text as the model's answer, and nobody is asked."""

    status, slug = 200, "answered_by_hook"

    def completion(self, id: str, model: str, created: int) -> dict[str, Any]:
        """The text as an answer of chat completions. `created`: Unix seconds."""
        message = {"role": "assistant", "content": self.message}
        return {
            "id": f"chatcmpl-{id}",
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }

    def chunks(self, id: str, model: str, created: int) -> list[dict[str, Any]]:
        """The same as the events of a stream."""
        head = {"id": f"chatcmpl-{id}", "object": "chat.completion.chunk", "created": created, "model": model}
        said = {"index": 0, "delta": {"role": "assistant", "content": self.message}, "finish_reason": None}
        return [
            {**head, "choices": [said]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]


class Hook:
    """Override what you need; what you do not override costs nothing.

    `before`, `after`, `chunk` and `end` guard: when one fails, or takes longer than `hook_timeout`, the call is refused
    (500 `hook_failed`). `failed` and `over` observe: their failures are counted, and nobody notices. Hooks run in the
    order of the settings, on the event loop: a hook that blocks it blocks every call.
    """

    chunks: bool = False
    """True: `chunk` is asked about every piece of text of a stream."""
    texts: bool = False
    """True: `over` finds the request and the answer in `exchange.request` and `exchange.answer`."""

    async def before(self, call: Call) -> Mapping[str, Any] | None:
        """Before a call is routed. Returns entries that change in its body (`REMOVED` takes one out), or None. May
        raise Refuse or Reply."""
        return None

    async def after(self, call: Call, answer: dict[str, Any]) -> dict[str, Any] | None:
        """A whole answer, not streamed, before the caller gets it. Returns another one, or None. May raise Refuse."""
        return None

    async def chunk(self, call: Call, text: str) -> str:
        """A piece of text of a stream; what is returned is sent instead. Text may be held back and sent later."""
        return text

    async def end(self, call: Call) -> str:
        """The stream is about to end; what is returned is sent as its last text."""
        return ""

    async def failed(self, call: Call, error: QuothError) -> QuothError | None:
        """A call failed, and its caller will be told. Returns another error to tell, or None."""
        return None

    async def over(self, exchange: Exchange) -> None:
        """A request is over, however it ended; its answer has left."""

    def does(self, name: str) -> bool:
        """Whether there is anything to do in a method."""
        return getattr(type(self), name) is not getattr(Hook, name)
