"""Write `src/quoth/sdk/signatures.py`: what an editor knows of `completion` and `acompletion`, from one table.

Usage: python scripts/generate_signatures.py [--check]

The same keywords stand in four overloads of two protocols and in two functions; they are written once, here.
"""

from __future__ import annotations

import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/quoth/sdk/signatures.py"

# name: type. All are keywords, and None stands for "not given".
TRAVELLING = {
    "temperature": "float | None",
    "top_p": "float | None",
    "n": "int | None",
    "stream_options": "Mapping[str, Any] | None",
    "stop": "str | Sequence[str] | None",
    "max_tokens": "int | None",
    "max_completion_tokens": "int | None",
    "presence_penalty": "float | None",
    "frequency_penalty": "float | None",
    "logit_bias": "Mapping[str, float] | None",
    "user": "str | None",
    "seed": "int | None",
    "tools": "Sequence[Any] | None",
    "tool_choice": "str | Mapping[str, Any] | None",
    "parallel_tool_calls": "bool | None",
    "functions": "Sequence[Any] | None",
    "function_call": "str | Mapping[str, Any] | None",
    "logprobs": "bool | None",
    "top_logprobs": "int | None",
    "reasoning_effort": "str | None",
    "verbosity": "str | None",
    "modalities": "Sequence[str] | None",
    "prediction": "Mapping[str, Any] | None",
    "audio": "Mapping[str, Any] | None",
    "web_search_options": "Mapping[str, Any] | None",
    "metadata": "Mapping[str, Any] | None",
    "service_tier": "str | None",
    "store": "bool | None",
    "safety_identifier": "str | None",
    "prompt_cache_key": "str | None",
    "prompt_cache_retention": "str | None",
    "extra_body": "Mapping[str, Any] | None",
}
CONTROL = {
    "api_key": "str | None",
    "api_base": "str | None",
    "base_url": "str | None",
    "custom_llm_provider": "str | None",
    "timeout": "float | Timeouts | None",
    "request_timeout": "float | Timeouts | None",
    "stream_timeout": "float | Timeouts | None",
    "num_retries": "int | None",
    "max_retries": "int | None",
    "fallbacks": "Sequence[str | Mapping[str, Any]] | None",
    "context_window_fallback_dict": "Mapping[str, str] | None",
    "extra_headers": "Mapping[str, str] | None",
    "headers": "Mapping[str, str] | None",
    "drop_params": "bool | None",
    "additional_drop_params": "Sequence[str] | None",
    "allowed_openai_params": "Sequence[str] | None",
    "strict": "bool | None",
    "disable_quirks": "Sequence[str] | None",
    "mock_response": "Any",
}

HEADER = '''"""The keywords of `completion` and `acompletion` for editors and type checkers, and the two functions.

Made by scripts/generate_signatures.py; edit the table there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quoth.sdk import defaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal, Protocol, TypeVar, overload

    from quoth.call import Timeouts
    from quoth.sdk.client import AsyncClient, Client
    from quoth.sdk.streams import AsyncStream, Stream
    from quoth.types import Completion, ParsedCompletion

    T = TypeVar("T")
'''

DOC = '''"""{first}

        `model` is "provider/model", such as "poe/Claude-Sonnet-4.6". `messages` are OpenAI's: dicts, or messages that
        came out of an earlier answer. All of OpenAI's chat parameters are keywords; keywords that are not named here
        travel to the provider (a bot's own parameters, for instance). None means not given.

        With `stream=True` the result is {stream}, returned once the first chunk with something in it
        has come. With a pydantic class as `response_format` the answer is validated, asked for once more if it does
        not fit, and `choices[0].message.parsed` is an instance.

        `timeout` is seconds for each target with its retries, or `quoth.Timeouts`; `num_retries` how often a target is
        tried again (2); `fallbacks` the next targets: names, or objects with `model` and any keyword of their own.

        Returns a Completion in OpenAI's shape, with `.cost`, `.warnings` and `.attempts`. Raises QuothError, before
        sending for what is known to be wrong; see `quoth.errors` for the tree.
        """'''


def overload(name: str, asynchronous: bool, stream: str, response_format: str, result: str) -> str:
    keywords = [f"stream: {stream},"]
    if response_format == "type[T]":
        keywords.insert(0, f"response_format: {response_format},")
    else:
        keywords.append(f"response_format: {response_format} = None,")
    keywords += [f"{key}: {kind} = None," for key, kind in (TRAVELLING | CONTROL).items()]
    client = "AsyncClient" if asynchronous else "Client"
    lines = "\n".join(f"            {keyword}" for keyword in keywords)
    start = "async def" if asynchronous else "def"
    return f"""
        @overload
        {start} {name}(
            self,
            model: str,
            messages: Sequence[Any] = ...,
            *,
{lines}
            client: {client} | None = None,
            **custom: Any,
        ) -> {result}: ...
"""


def protocol(name: str, asynchronous: bool) -> str:
    stream = "AsyncStream" if asynchronous else "Stream"
    any_format = "type[Any] | Mapping[str, Any] | None"
    plain = "Mapping[str, Any] | None"
    return (
        f"\n    class {name}(Protocol):"
        + overload("__call__", asynchronous, "Literal[True]", any_format, stream)
        + overload("__call__", asynchronous, "Literal[False] | None = None", "type[T]", "ParsedCompletion[T]")
        + overload("__call__", asynchronous, "Literal[False] | None = None", plain, "Completion")
        + overload("__call__", asynchronous, "bool | None", any_format, f"Completion | {stream}")
    )


def function(name: str, asynchronous: bool) -> str:
    names = ["stream", "response_format", *TRAVELLING, *CONTROL, "client"]
    lines = "\n".join(f"        {key}=None," for key in names)
    first = "One call to any model" + (", for asyncio." if asynchronous else ".")
    doc = DOC.format(
        first=first,
        stream="an AsyncStream of chunks" if asynchronous else "a Stream of chunks",
    )
    start = "async def" if asynchronous else "def"
    call = (
        "await defaults.async_client()._complete(**given)" if asynchronous else "defaults.client()._complete(**given)"
    )
    return f"""
    {start} {name}(
        model,
        messages=(),
        *,
{lines}
        **custom,
    ):
        {doc}
        given = locals()
        given |= given.pop("custom")
        return {call}
"""


def text() -> str:
    return (
        HEADER
        + protocol("CompletionCall", False)
        + protocol("AsyncCompletionCall", True)
        + "\n    completion: CompletionCall\n    acompletion: AsyncCompletionCall\n\nelse:\n"
        + function("completion", False)
        + function("acompletion", True)
    )


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text() == text() else f"{TARGET.name} is not what its generator writes; run it again")
    TARGET.write_text(text())
