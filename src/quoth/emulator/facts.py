"""What the emulator claims about Poe, behaviour by behaviour, and how well each claim is known."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Fact", "facts", "table"]


class Fact(NamedTuple):
    """`recorded`: seen in traffic or tested by others. `documented`: in Poe's documentation. `inferred`: our conclusion.

    `date` is ISO 8601, a month or a day: when it was seen, or the date of the page.
    """

    behaviour: str
    status: Literal["recorded", "documented", "inferred"]
    date: str


_FACTS = (
    # Chat completions: the answer
    Fact("Chat answers: `chatcmpl-` and 24 hex digits, `created` in seconds, `model` as the caller spelt it", "recorded", "2026-04-01"),
    Fact("One choice; no `logprobs`, `refusal`, `system_fingerprint` or `service_tier` members", "recorded", "2026-04-01"),
    Fact("`reasoning` and `reasoning_content` are both present and identical, for models that show reasoning", "recorded", "2026-04-01"),
    Fact("Gemini 3 Pro, Grok 3 mini, Grok Code, Kimi thinking, MiniMax M2, Magistral thinking and gpt-oss always reason", "recorded", "2026-04-01"),
    Fact("Gemini 2.5 and Gemini 3 Flash reason when `reasoning_effort` asks for it, Gemini 2.0 never", "recorded", "2026-04-01"),
    Fact("Other models reason when one of their thinking parameters asks for it; OpenAI models never show it on this route", "inferred", "2026-04-01"),
    Fact("Tool calls: `content` is an empty string, `finish_reason` is `tool_calls`, no `index` outside streams", "recorded", "2026-04-01"),
    Fact("Ids of tool calls depend on the backend: `call_` and 24 letters, `call_` and 8 digits, `tool_NAME_` and 20 letters, `NAME:0`", "recorded", "2026-04-01"),
    Fact("Gemini 2.5 and later add a thought signature to the first tool call", "recorded", "2026-04-01"),
    Fact("Kimi writes a sentence beside its tool call", "recorded", "2026-04-01"),
    Fact("`arguments` are spaced as Python's json module does", "recorded", "2026-04-01"),
    Fact("Image answers are Markdown with the URL repeated; video and audio answers are the bare URL", "recorded", "2026-04-01"),
    Fact("Usage counts the visible text alone; a tool call, a video or a sound has 0 completion tokens", "recorded", "2026-04-01"),
    Fact("Nano-Banana and the search models send token details, GPT-3.5-Turbo-Instruct null details", "recorded", "2026-04-01"),
    Fact("`response_format` with a JSON schema is honoured by Grok-4", "recorded", "2026-04-01"),
    Fact("`response_format` is ignored by the other models", "documented", "2026-04-13"),
    Fact("Whitespace-only stop sequences do not work", "documented", "2026-04-13"),
    # Streams
    Fact("Streams are server-sent events that end with `data: [DONE]`; usage comes if `stream_options.include_usage`", "documented", "2026-04-13"),
    Fact("Order of chunks: role, reasoning, content, tool calls, finish reason, usage", "inferred", "2026-04-13"),
    Fact("An error in mid-stream is an event with an `error` member", "inferred", "2026-04-13"),
    Fact("Media bots may stream progress text before the answer", "recorded", "2026-05"),
    # Validation
    Fact("Keys that are neither OpenAI's nor declared by the model are 400 with the key as `param`", "recorded", "2026-05"),
    Fact("Custom parameters are taken from the top level and from a literal `extra_body` object", "recorded", "2026-05"),
    Fact("Values outside a declared enum or range are 400", "inferred", "2026-04-01"),
    Fact("Parameters of models whose declaration is not known are accepted", "inferred", "2026-07-02"),
    Fact("An effort that the upstream model lacks is 400 and names that model", "recorded", "2026-04-01"),
    Fact("`temperature` 0 to 2, `top_p` 0 to 1, at most 4 stop sequences, `n` 1; else 400", "documented", "2026-04-13"),
    Fact("The roles are system, user, assistant and tool; `developer` is 400", "inferred", "2026-04-13"),
    Fact("`input_audio` parts are dropped without a word", "documented", "2026-04-13"),
    Fact("Tools for a model without tools: 400 `unsupported_feature_for_model`", "recorded", "2026-04-01"),
    Fact("GPT-4o-Search, GPT-4o-mini-Search, GPT-3.5-Turbo-Instruct and ChatGPT-4o-Latest reject tools although they list them", "recorded", "2026-04-01"),
    Fact("A tool without `properties`, or more than 215 tools: 400 `Invalid 'tools': Field required`", "recorded", "2026-07"),
    Fact("Grok refuses `$ref` in tools", "recorded", "2026-07"),
    Fact("More prompt tokens than the context window: 413", "documented", "2026-04-13"),
    # Errors and limits
    Fact("Error bodies hold `message` and `type`, sometimes `param` and a `code` string", "recorded", "2026-04-01"),
    Fact("Refusals of a chat request carry `x-poe-feature-active`", "recorded", "2026-04-01"),
    Fact("Statuses and types: 401 authentication_error, 402 insufficient_credits, 403 moderation_error, 404 not_found_error, 408 timeout_error, 429 rate_limit_error, 500 provider_error, 502 upstream_error, 529 overloaded_error", "documented", "2026-04-13"),
    Fact("A handle that is not listed is 404, although Poe also answers for public bots that it does not list", "inferred", "2026-04-01"),
    Fact("A wrong method is 405 `{\"detail\": \"Method Not Allowed\"}`", "recorded", "2026-05"),
    Fact("An unknown path is 404 `{\"detail\": \"Not Found\"}`", "inferred", "2026-05"),
    Fact("500 requests a minute for one key, then 429 with `Retry-After`; refused requests cost nothing", "documented", "2026-04-13"),
    Fact("`x-ratelimit-*` and `x-request-id` headers are not on every answer", "recorded", "2026-04-01"),
    # Models
    Fact("Models are found in any case; `created` is in milliseconds; unknown prices are null", "recorded", "2026-04-01"),
    Fact("`GET /v1/models` needs no key and does not notice a bad one", "recorded", "2026-09"),
    # Points
    Fact("33,000 points are one US dollar; input and output are rounded up separately", "inferred", "2026-04-13"),
    Fact("A model without a known price costs 1,000 points here, a figure of our own", "inferred", "2026-04-13"),
    Fact("The provider also counts tool definitions, arguments and reasoning, which `usage` leaves out", "inferred", "2026-04-13"),
    Fact("Balance in all its fields; times are microseconds", "recorded", "2026-09"),
    Fact("History: newest first, `limit` 1 to 100 (default 20), `starting_after` a `query_id`, times in microseconds", "documented", "2026-04-13"),
    Fact("Costs may appear in the history after the row does", "recorded", "2026-05"),
    Fact("402 when the balance is 0 or less, or a model is not free and there is no subscription", "documented", "2026-04-13"),
)  # fmt: skip


def facts() -> list[Fact]:
    """Every behaviour that is claimed, with its status and date."""
    return list(_FACTS)


def table() -> str:
    """The facts as a Markdown table, as in the documentation."""
    rows = (f"| {fact.behaviour} | {fact.status} | {fact.date} |" for fact in _FACTS)
    return "\n".join(("| behaviour | status | date |", "| --- | --- | --- |", *rows))
