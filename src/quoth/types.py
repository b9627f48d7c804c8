"""The public data: what goes into a call and what comes out, in OpenAI's shape.

Everything that a provider sends is kept: fields that this module does not name stay on the object as extra attributes.
Fields that a provider left out read as None and are not dumped. Objects also answer to `r["choices"]`, as LiteLLM's do.

Source: OpenAI's API reference for chat completions; Poe's additions as recorded in April 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

if TYPE_CHECKING:
    from datetime import datetime

    from quoth.media import Media

__all__ = [
    "Attempt",
    "Choice",
    "Chunk",
    "ChunkChoice",
    "Completion",
    "CompletionTokensDetails",
    "Cost",
    "Delta",
    "Function",
    "FunctionDelta",
    "Message",
    "ParsedChoice",
    "ParsedCompletion",
    "ParsedMessage",
    "PromptTokensDetails",
    "Record",
    "ToolCall",
    "ToolCallDelta",
    "Trace",
    "Usage",
    "Warning",
]

T = TypeVar("T")
CostSource = Literal["provider", "computed", "estimated", "unknown"]


class Record(BaseModel):
    """The base of every object in an answer: attributes, `r["key"]`, `r.get("key")`, `"key" in r`, `model_dump()`."""

    # Deferred: a program that makes one call builds the validators it needs, not all of them at import.
    model_config = ConfigDict(extra="allow", protected_namespaces=(), coerce_numbers_to_str=True, defer_build=True)

    def __getitem__(self, key: str) -> Any:
        extra = self.__pydantic_extra__
        if key in type(self).__pydantic_fields__ or (extra is not None and key in extra):
            return getattr(self, key)
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # What was not said is not shown either.
        return (pair for pair in super().__repr_args__() if pair[0] in self.model_fields_set)

    def __contains__(self, key: object) -> bool:
        return key in self.model_fields_set

    def get(self, key: str, default: Any = None) -> Any:
        """The field, or `default` where the provider left it out or said null."""
        if key not in self:
            return default
        value = self[key]
        return default if value is None else value

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The object as a dict of plain values. What the provider left out is left out (`exclude_unset=False`: as
        None)."""
        options.setdefault("exclude_unset", True)
        return super().model_dump(**options)

    def model_dump_json(self, **options: Any) -> str:
        """The object as JSON text. What the provider left out is left out (`exclude_unset=False`: as null)."""
        options.setdefault("exclude_unset", True)
        return super().model_dump_json(**options)

    def keys(self) -> list[str]:
        """The names of what the provider sent, so that `{**message}` works."""
        return list(self.model_dump())

    def to_dict(self) -> dict[str, Any]:
        """The same as `model_dump()`."""
        return self.model_dump()

    def to_json(self) -> str:
        """The same as `model_dump_json()`."""
        return self.model_dump_json()

    def json(self, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """The object as a dict, as LiteLLM's `.json()` gives it; JSON text is `model_dump_json()`."""
        return self.model_dump(**options)


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that happened to a call and that the caller may want to know.

    `code` is a stable slug, `param` the parameter or field concerned, `message` one sentence.
    """

    code: str
    param: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost.

    `usd` is exact (Decimal) and None when unknown, never 0 for unknown. `points` is Poe's unit, 33,000 to the US
    dollar, None for other providers. `items` maps line to points (Poe) or USD. `source`: "provider" (the answer states
    it), "computed" (the provider's own token counts at a known price), "estimated" (synthetic token counts, or a price
    that may be old), "unknown". `prices_as_of` is the ISO date of the price.
    """

    usd: Decimal | None = None
    points: int | None = None
    items: Mapping[str, int | Decimal] = field(default_factory=dict)
    source: CostSource = "unknown"
    prices_as_of: str | None = None

    def __add__(self, other: Cost) -> Cost:
        """Both together; a sum with an unknown part is unknown."""
        order: tuple[CostSource, ...] = ("provider", "computed", "estimated", "unknown")
        items = dict(self.items)
        for name, amount in other.items.items():
            items[name] = items[name] + amount if name in items else amount
        return Cost(
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
            points=None if self.points is None or other.points is None else self.points + other.points,
            items=items,
            source=order[max(order.index(self.source), order.index(other.source))],
            prices_as_of=min(filter(None, (self.prices_as_of, other.prices_as_of)), default=None),
        )

    def __str__(self) -> str:
        if self.usd is None:
            return "cost unknown"
        amount = f"${self.usd.normalize():f}"
        about = "about " if self.source == "estimated" else ""
        if self.points is None:
            return f"{about}{amount}"
        return f"{about}{self.points:,} {'point' if self.points == 1 else 'points'} ({amount})"


class Attempt(msgspec.Struct, frozen=True):
    """One try at one target. `seconds` is its duration; `status_code` and `error` are None where it had none."""

    provider: str
    model: str
    wire: str
    seconds: float
    status_code: int | None = None
    error: str | None = None
    message: str | None = None


@dataclass(slots=True, weakref_slot=True)
class Trace:
    """How an answer came about; filled by the engine, read through properties of the answer."""

    provider: str = ""
    model: str = ""
    wire: str = ""
    api_base: str = ""
    request_id: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    warnings: list[Warning] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    started: datetime | None = None
    seconds: float | None = None
    price: Callable[[Completion], Cost] | None = field(default=None, compare=False)
    extra_cost: Cost | None = None
    cost: Cost | None = field(default=None, compare=False)


class Function(Record):
    """A function that the model wants called. `arguments` is JSON text; empty arguments read as "{}"."""

    name: str | None = None
    arguments: str = "{}"

    @field_validator("arguments", mode="before")
    @classmethod
    def _as_json_text(cls, value: Any) -> Any:
        # Some servers answer with the object itself, or with nothing for a function without parameters.
        if value is None or value == "":
            return "{}"
        return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


class ToolCall(Record):
    """A call that the model asks for; answer it with a message of role "tool" and this `id` as `tool_call_id`."""

    id: str | None = None
    type: str | None = None
    function: Function = Field(default_factory=Function)


class _Reasoned(Record):
    """Reasoning has two names in use; where a provider gives one, it reads under both (and dumps under its own)."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    def model_post_init(self, context: Any) -> None:
        values = vars(self)
        if values["reasoning"] is None:
            if values["reasoning_content"] is not None:
                values["reasoning"] = values["reasoning_content"]
        elif values["reasoning_content"] is None:
            values["reasoning_content"] = values["reasoning"]


class Message(_Reasoned):
    """What the model said. `reasoning` and `reasoning_content` hold the same text where a provider gives one of
    them."""

    tool_calls: list[ToolCall] | None = None
    refusal: str | None = None
    function_call: Function | None = None
    audio: Record | None = None
    annotations: list[Any] | None = None
    _parsed: Any = PrivateAttr(default=None)
    _makes: tuple[str, ...] = PrivateAttr(default=())

    @property
    def media(self) -> list[Media]:
        """The pictures, sounds and films in `content`, which stays as it is; one for each address."""
        from quoth.media import media_in

        return media_in(self.content, self._makes)

    @property
    def parsed(self) -> Any:
        """The instance of the class given as `response_format`; None when none was given."""
        return self._parsed

    def _repr_markdown_(self) -> str:
        calls = "".join(
            f"\n\n`{call.function.name}({call.function.arguments})`" for call in self.tool_calls or () if call.function
        )
        # Notebooks show a Markdown image by themselves, but nothing of a bare address.
        content = self.content or ""
        shown = "".join(f"\n\n{media._repr_html_()}" for media in self.media if f"]({media.url})" not in content)
        return f"{content}{shown}{calls}"


class Choice(Record):
    """One answer. `finish_reason`: stop, length, tool_calls, content_filter, or what the provider said."""

    index: int | None = None
    message: Message = Field(default_factory=Message)
    finish_reason: str | None = None
    logprobs: Record | None = None


class PromptTokensDetails(Record):
    """Of the prompt's tokens: those read from a cache, those of audio."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionTokensDetails(Record):
    """Of the answer's tokens: those of reasoning, of audio, of predictions that came true or did not."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(Record):
    """Tokens as the provider counted them. Poe's chat counts are partly synthetic: they cover the visible text only."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class _NoChoices(list[Any]):
    """An empty list whose IndexError says what is the matter."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return []
        raise IndexError("the provider answered without any choice; `.model_dump()` shows what it did answer")


class _Answer(Record):
    """What Completion and Chunk share."""

    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[Any] = []
    usage: Usage | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class Completion(_Answer):
    """A whole answer. `created` is Unix seconds.

    Beside the provider's fields: `cost`, `warnings`, `wire`, `attempts`, `request_id`, `response_headers`. They are not
    part of `model_dump()`.
    """

    choices: list[Choice] = []
    _trace: Trace = PrivateAttr(default_factory=Trace)

    @field_validator("choices", mode="before")
    @classmethod
    def _no_choices(cls, value: Any) -> Any:
        return [] if value is None else value

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if not self.choices:
            fields_set = set(self.model_fields_set)
            self.choices = _NoChoices()
            self.__pydantic_fields_set__ = fields_set

    @property
    def cost(self) -> Cost:
        """What this answer cost, every repair and every parallel call included."""
        trace = self._trace
        if trace.cost is None:
            cost = trace.price(self) if trace.price else Cost()
            trace.cost = cost + trace.extra_cost if trace.extra_cost else cost
        return trace.cost

    @property
    def warnings(self) -> list[Warning]:
        """What was not done as asked, and what was odd about the answer; empty when nothing was."""
        return self._trace.warnings

    @property
    def wire(self) -> str:
        """The protocol that was spoken, e.g. "openai_chat"."""
        return self._trace.wire

    @property
    def attempts(self) -> list[Attempt]:
        """Every try that this answer took, failed ones first."""
        return self._trace.attempts

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request (`x-request-id`); None when it gave none."""
        return self._trace.request_id

    @property
    def response_headers(self) -> Mapping[str, str]:
        """The HTTP headers of the answer, names in lower case."""
        return self._trace.headers

    @property
    def _hidden_params(self) -> dict[str, Any]:
        """LiteLLM's name for what is here `cost`, `response_headers` and so on."""
        trace = self._trace
        usd = self.cost.usd
        return {
            "response_cost": None if usd is None else float(usd),
            "custom_llm_provider": trace.provider,
            "model_id": trace.model,
            "api_base": trace.api_base,
            "additional_headers": {f"llm_provider-{name}": value for name, value in trace.headers.items()},
            "x-litellm-attempted-retries": max(0, len(trace.attempts) - 1),
        }

    @property
    def _response_ms(self) -> float | None:
        """LiteLLM's name for the milliseconds that the whole call took; None of an answer that was put together."""
        return None if self._trace.seconds is None else self._trace.seconds * 1000

    def _repr_markdown_(self) -> str:
        said = "\n\n---\n\n".join(choice.message._repr_markdown_() for choice in self.choices)
        tokens = "" if self.usage is None else f"{self.usage.prompt_tokens} → {self.usage.completion_tokens} tokens, "
        return f"{said}\n\n<small>{self.model}: {tokens}{self.cost}</small>"


class FunctionDelta(Record):
    """A piece of a function's name and of its arguments, which are JSON text once put together."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Record):
    """A piece of a tool call. Pieces with the same `index` belong together; the first carries `id`, `type` and the
    name."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class Delta(_Reasoned):
    """What a chunk adds to the message."""

    tool_calls: list[ToolCallDelta] | None = None
    refusal: str | None = None
    function_call: FunctionDelta | None = None


class ChunkChoice(Record):
    """What a chunk adds to the choice with this `index`; `finish_reason` is on its last one."""

    index: int | None = None
    delta: Delta = Field(default_factory=Delta)
    finish_reason: str | None = None
    logprobs: Record | None = None


class Chunk(_Answer):
    """One piece of a streamed answer. `choices` is empty on the chunk that carries the usage."""

    choices: list[ChunkChoice] = []


if TYPE_CHECKING:
    # What an editor knows of an answer when `response_format` is a class; at run time these are the plain classes.
    class ParsedMessage(Message, Generic[T]):
        @property
        def parsed(self) -> T | None: ...

    class ParsedChoice(Choice, Generic[T]):
        message: ParsedMessage[T]  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]

    class ParsedCompletion(Completion, Generic[T]):
        choices: list[ParsedChoice[T]] = ...  # type: ignore[assignment]


else:
    ParsedMessage, ParsedChoice, ParsedCompletion = Message, Choice, Completion


def walk_text(messages: list[Any]) -> Iterator[str]:
    """Every text of a conversation, in order: string contents and the text parts of part lists."""
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                    yield part["text"]
