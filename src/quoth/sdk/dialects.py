"""What the Responses and the Messages API answer with, in the shapes of openai's and anthropic's packages.

Everything that a provider sends is kept. Beside its fields every answer has `cost`, `warnings`, `wire`, `attempts`,
`request_id` and `response_headers`, as a Completion has, and that Completion as `completion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, PrivateAttr

from quoth.types import Attempt, Completion, Cost, Record, Warning

__all__ = [
    "AnthropicMessage",
    "ContentBlock",
    "MessageEvent",
    "MessageUsage",
    "OutputItem",
    "OutputPart",
    "Part",
    "Response",
    "ResponseEvent",
    "ResponseUsage",
]


class Part(Record):
    """An object of which no field is known beforehand: whatever came is an attribute, objects within objects too."""

    def model_post_init(self, context: Any) -> None:
        extra = self.__pydantic_extra__
        if extra:
            for name, value in extra.items():
                if isinstance(value, dict | list):
                    extra[name] = _opened(value)


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        return Part.model_validate(value)
    return [_opened(item) for item in value] if isinstance(value, list) else value


class _Answered(Record):
    _completion: Completion = PrivateAttr(default_factory=Completion)

    @property
    def completion(self) -> Completion:
        """The same answer in the shape of chat completions."""
        return self._completion

    @property
    def cost(self) -> Cost:
        """What this answer cost."""
        return self._completion.cost

    @property
    def warnings(self) -> list[Warning]:
        """What was not done as asked; empty when everything was."""
        return self._completion.warnings

    @property
    def wire(self) -> str:
        """The protocol that the provider was called over."""
        return self._completion.wire

    @property
    def attempts(self) -> list[Attempt]:
        """Every try that this answer took, failed ones first."""
        return self._completion.attempts

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request; None when it gave none."""
        return self._completion.request_id

    @property
    def response_headers(self) -> Mapping[str, str]:
        """The HTTP headers of the answer, names in lower case."""
        return self._completion.response_headers


class OutputPart(Part):
    """A part of a message's content: `type` is output_text (with `text` and `annotations`) or refusal."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class OutputItem(Part):
    """One item of an output. `type` says which fields it has: message (`content`), reasoning (`summary`), function_call
    (`call_id`, `name`, `arguments`), or one of the provider's own."""

    type: str | None = None
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: list[OutputPart] | None = None
    summary: list[OutputPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class InputTokensDetails(Record):
    cached_tokens: int | None = None


class OutputTokensDetails(Record):
    reasoning_tokens: int | None = None


class ResponseUsage(Record):
    """Tokens as the provider counted them."""

    input_tokens: int | None = None
    input_tokens_details: InputTokensDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputTokensDetails | None = None
    total_tokens: int | None = None


class Response(_Answered):
    """An answer of the Responses API. `created_at` is Unix seconds. `status`: completed, incomplete, failed."""

    id: str | None = None
    object: str | None = None
    created_at: float | None = None
    model: str | None = None
    status: str | None = None
    output: list[OutputItem] = Field(default_factory=list)
    usage: ResponseUsage | None = None
    error: Any = None
    incomplete_details: Any = None

    @property
    def output_text(self) -> str:
        """The text of all messages."""
        parts = (part for item in self.output if item.type == "message" for part in item.content or ())
        return "".join(part.text or "" for part in parts if part.type == "output_text")


class ResponseEvent(Part):
    """An event of a streamed response. `type` says which fields it has: response.output_text.delta (`delta`),
    response.completed (`response`), and so on."""

    type: str | None = None
    sequence_number: int | None = None
    delta: str | None = None
    item: OutputItem | None = None
    response: Response | None = None


class ContentBlock(Part):
    """One block of a message. `type` says which fields it has: text (`text`), thinking (`thinking`, `signature`),
    tool_use (`id`, `name`, `input`), or one of the provider's own."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class MessageUsage(Part):
    """Tokens as the provider counted them. The three counts of input do not overlap."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class AnthropicMessage(_Answered):
    """An answer of the Messages API. `stop_reason`: end_turn, max_tokens, tool_use, stop_sequence, refusal."""

    id: str | None = None
    type: str | None = None
    role: str | None = None
    model: str | None = None
    content: list[ContentBlock] = Field(default_factory=list)
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: MessageUsage | None = None

    @property
    def text(self) -> str:
        """The text of all blocks."""
        return "".join(block.text or "" for block in self.content if block.type == "text")


class MessageEvent(Part):
    """An event of a streamed message. `type` says which fields it has: content_block_delta (`index`, `delta`),
    message_delta (`delta`, `usage`), and so on."""

    type: str | None = None
    index: int | None = None
    message: AnthropicMessage | None = None
    content_block: ContentBlock | None = None
    delta: Part | None = None
    usage: MessageUsage | None = None
