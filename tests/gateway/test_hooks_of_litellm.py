"""A file written for LiteLLM's proxy is taken as it is: the imports, the methods, what they get and may return."""

from __future__ import annotations

import importlib.util
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quoth.errors import RateLimitError
from quoth.gateway.exchange import Exchange, Tokens
from quoth.gateway.hooks import HookFailed, Hooks, HooksNotLoaded, Refuse, Reply, load_hooks
from quoth.gateway.settings import Quoth, Settings
from quoth.types import Cost
from tests.gateway.exchanges import candidate, exchange, routes
from tests.gateway.test_hooks import body, chunk, texts

# The imports are those of LiteLLM's own examples.
HEAD = """
from typing import Any, AsyncGenerator, Literal, Optional, Union

import litellm
from fastapi import HTTPException
from litellm._logging import verbose_proxy_logger
from litellm.caching.caching import DualCache
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.proxy_server import DualCache as SameCache
from litellm.types.utils import ModelResponse, ModelResponseStream

seen = []


class MyCustomHandler(CustomLogger):
    def __init__(self):
        super().__init__()
"""


def of(tmp_path: Path, methods: str, **quoth: Any) -> Hooks:
    indented = "".join(f"    {line}\n" for line in methods.splitlines())
    (tmp_path / "custom_callbacks.py").write_text(f"{HEAD}\n{indented}\n\nproxy_handler_instance = MyCustomHandler()\n")
    return load_hooks(
        Settings(models=(), hooks=("custom_callbacks.proxy_handler_instance",), quoth=Quoth(**quoth)), tmp_path
    )


def seen(hooks: Hooks) -> list[Any]:
    """What the file's own code put aside."""
    [(_, hook)] = hooks._over or hooks._before or hooks._after or hooks._failed or hooks._chunk
    found: list[Any] = hook._its.__init__.__globals__["seen"]  # type: ignore[attr-defined]
    return found


@pytest.mark.skipif(importlib.util.find_spec("litellm") is not None, reason="litellm itself is installed")
async def test_the_stand_ins_are_gone_once_a_file_is_loaded(tmp_path: Path):
    of(tmp_path, "pass")
    assert not [name for name in sys.modules if name.split(".")[0] == "litellm"]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("litellm")


async def test_a_call_is_changed(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_pre_call_hook(self, user_api_key_dict: UserAPIKeyAuth, cache: DualCache, data: dict, call_type: Literal[
        "completion", "text_completion", "embeddings", "image_generation", "moderation", "audio_transcription",
    ]):
    seen.append((user_api_key_dict.key_alias, user_api_key_dict.team_id, user_api_key_dict.user_role, call_type))
    seen.append((data["proxy_server_request"]["headers"].get("x-tenant"), data["metadata"]["user_api_key_alias"]))
    await cache.async_set_cache(key="k", value=1)
    assert await cache.async_get_cache(key="k") == 1
    data["model"] = "my-new-model"
    data["metadata"]["mine"] = "kept"
    return data
""",
    )
    one = exchange(headers={b"x-tenant": b"t1", b"authorization": b"Bearer secret"})
    changed = await hooks.before(one, body())
    assert changed == {**body(), "model": "my-new-model", "metadata": {"mine": "kept"}}
    assert seen(hooks) == [("master", None, "proxy_admin", "acompletion"), ("t1", "master")]


async def test_what_the_proxy_puts_beside_does_not_travel(tmp_path: Path):
    hooks = of(tmp_path, "async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type): pass")
    assert await hooks.before(exchange(), body()) == body()
    mine = {**body(), "metadata": {"user_agent": "my own", "tags": ["a"]}}
    assert await hooks.before(exchange(), dict(mine)) == mine
    one = {**body(), "metadata": {"tags": ["a"]}}
    assert await hooks.before(exchange(), dict(one)) == one


@pytest.mark.parametrize(
    ("said", "kind", "status", "message"),
    [
        ('return "This is rejected"', Reply, 200, "This is rejected"),
        ('raise HTTPException(status_code=403, detail={"error": "Violated policy"})', Refuse, 403, "Violated policy"),
        ('raise HTTPException(status_code=418, detail="teapot")', Refuse, 418, "teapot"),
        ('return HTTPException(status_code=400, detail="returned")', Refuse, 400, "returned"),
        (
            'raise litellm.RateLimitError("too much", llm_provider="x", model="y")',
            Refuse,
            429,
            "too much",
        ),
        ('raise ValueError("secret")', HookFailed, 500, "a hook of this gateway failed"),
    ],
)
async def test_a_call_is_rejected(tmp_path: Path, said: str, kind: type[Exception], status: int, message: str):
    hooks = of(tmp_path, f"async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):\n    {said}")
    with pytest.raises(kind, match=message) as caught:
        await hooks.before(exchange(), body())
    assert caught.value.status_code == status  # type: ignore[attr-defined]
    assert "secret" not in str(caught.value)


async def test_moderation_guards(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_moderation_hook(self, data: dict, user_api_key_dict, call_type):
    if "Hi" in data["messages"][0]["content"]:
        raise HTTPException(status_code=400, detail="no greetings")
""",
    )
    with pytest.raises(Refuse, match="no greetings"):
        await hooks.before(exchange(), body())


ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a secret"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    "own_field": {"kept": [1]},
}


async def test_an_answer_is_an_object_and_may_be_changed(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_success_hook(self, data: dict, user_api_key_dict: UserAPIKeyAuth, response):
    if isinstance(response, litellm.ModelResponse) and isinstance(response, ModelResponse):
        for choice in response.choices:
            choice.message.content = choice.message.content.replace("secret", "***")
    seen.append((data["model"], response.usage.total_tokens, response["choices"][0]["finish_reason"]))
""",
    )
    one = exchange()
    await hooks.before(one, body())
    changed = await hooks.after(one, ANSWER)
    expected = {**ANSWER, "choices": [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": "a ***"}}]}  # type: ignore[index]
    assert changed == expected
    assert seen(hooks) == [("gpt", 7, "stop")]


async def test_an_answer_is_refused(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_success_hook(self, data, user_api_key_dict, response):
    raise HTTPException(status_code=400, detail="bad answer")
""",
    )
    one = exchange()
    await hooks.before(one, body())
    with pytest.raises(Refuse, match="bad answer"):
        await hooks.after(one, ANSWER)


USAGE: dict[str, Any] = {"id": "c1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
STREAMED = [chunk("a ", role="assistant"), chunk("sec"), chunk("ret"), chunk(finish="stop"), USAGE]


async def through(hooks: Hooks, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    one = exchange(stream=True)
    async with hooks:
        await hooks.before(one, body())
        stream = hooks.stream(one)
        assert stream is not None
        sent: list[dict[str, Any]] = []
        try:
            for event in events:
                sent += await stream.feed(event)
            sent += await stream.finish()
        finally:
            stream.close()
    return sent


async def test_a_stream_goes_through_an_iterator(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_streaming_iterator_hook(
    self, user_api_key_dict: UserAPIKeyAuth, response: Any, request_data: dict,
) -> AsyncGenerator[ModelResponseStream, None]:
    async for item in response:
        assert isinstance(item, ModelResponseStream)
        text = item.choices[0].delta.content
        if text:
            item.choices[0].delta.content = text.upper()
        yield item
""",
    )
    sent = await through(hooks, STREAMED)
    assert texts(sent) == "A SECRET"
    assert len(sent) == 5
    assert sent[-2]["choices"][0]["finish_reason"] == "stop"
    assert sent[-1] == USAGE, "a hook may rely on a choice; a caller gets the event as it was"


async def test_an_iterator_may_hold_back_and_add(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
    items = [item async for item in response]
    for item in items:
        yield item
    yield 'data: {"choices": [{"index": 0, "delta": {"content": "!"}}]}\\n\\ndata: [DONE]\\n\\n'
""",
    )
    sent = await through(hooks, STREAMED)
    assert texts(sent) == "a secret!"


async def test_an_iterator_may_end_a_stream_early(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
    async for item in response:
        yield item
        return
""",
    )
    assert texts(await through(hooks, STREAMED)) == "a "


@pytest.mark.parametrize("raised", ['ValueError("found")', "SystemExit", "asyncio.CancelledError"])
async def test_an_iterator_that_fails_refuses(tmp_path: Path, raised: str):
    hooks = of(
        tmp_path,
        f"""
async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
    import asyncio

    async for item in response:
        if item.choices[0].delta.content == "ret":
            raise {raised}
        yield item
""",
    )
    with pytest.raises(HookFailed):
        await through(hooks, STREAMED)


async def test_a_stream_that_is_left_is_ended_with_the_worker(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
    try:
        async for item in response:
            yield item
    finally:
        seen.append("ended")
""",
    )
    async with hooks:
        one = exchange(stream=True)
        await hooks.before(one, body())
        stream = hooks.stream(one)
        assert stream is not None
        await stream.feed(chunk("a"))
    assert seen(hooks) == ["ended"]


async def test_an_iterator_that_is_stuck_refuses_and_is_ended(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
    import asyncio
    try:
        async for item in response:
            await asyncio.Event().wait()
            yield item
    finally:
        seen.append("ended")
""",
        hook_timeout=0.02,
    )
    with pytest.raises(HookFailed, match="longer"):
        await through(hooks, STREAMED)
    assert seen(hooks) == ["ended"]


async def test_a_failure_is_told_and_may_be_changed(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_failure_hook(self, request_data, original_exception, user_api_key_dict, traceback_str=None):
    seen.append((request_data["model"], type(original_exception).__name__, user_api_key_dict.key_alias, traceback_str))
    return HTTPException(status_code=503, detail="come back later")
""",
    )
    one = exchange()
    await hooks.before(one, body())
    another = await hooks.failed(one, RateLimitError("slow down"))
    assert another is not None
    assert (another.status_code, another.message) == (503, "come back later")
    assert seen(hooks) == [("gpt", "RateLimitError", "master", None)]


async def test_a_failure_hook_of_before_there_were_tracebacks(tmp_path: Path):
    hooks = of(
        tmp_path,
        """
async def async_post_call_failure_hook(self, request_data, original_exception, user_api_key_dict):
    raise HTTPException(status_code=503, detail="raised")
""",
    )
    one = exchange()
    await hooks.before(one, body())
    another = await hooks.failed(one, RateLimitError("slow down"))
    assert another is not None
    assert another.message == "raised"


EVENTS = """
async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
    seen.append(("success", kwargs, response_obj, (end_time - start_time).total_seconds()))

async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
    seen.append(("failure", kwargs, response_obj, (end_time - start_time).total_seconds()))
"""

# The fields that LiteLLM documents for its logging specification.
DOCUMENTED = (
    "id trace_id call_type response_cost response_cost_failure_debug_info status total_tokens prompt_tokens "
    "completion_tokens startTime endTime completionStartTime model_map_information model model_id model_group api_base "
    "metadata cache_hit cache_key saved_cache_cost request_tags end_user requester_ip_address messages response "
    "error_str error_information model_parameters hidden_params stream custom_llm_provider user_agent"
).split()


async def logged(hooks: Hooks, one: Exchange, answer: dict[str, Any] | None) -> Any:
    async with hooks:
        await hooks.before(one, {**body(), "temperature": 0, "user": "anna"})
        if answer is not None:
            await hooks.after(one, answer)
        hooks.over(one)
    [found] = seen(hooks)
    return found


async def test_success_is_logged(tmp_path: Path):
    one = exchange(
        model="small",
        known_model="small",
        candidate=candidate(routes(), "small"),
        tokens=Tokens(5, 2),
        cost=Cost(usd=Decimal("0.25")),
        tags=("paid",),
        client="10.0.0.1",
        headers={b"user-agent": b"curl"},
        first_at=10.2,
    )
    kind, kwargs, response, seconds = await logged(of(tmp_path, EVENTS), one, ANSWER)
    assert (kind, seconds) == ("success", 0.5)
    assert response.choices[0].message.content == "a secret"
    assert kwargs["response_cost"] == 0.25
    assert kwargs["messages"] == body()["messages"]
    assert kwargs["litellm_params"]["metadata"]["user_api_key_alias"] == "master"
    payload = kwargs["standard_logging_object"]
    assert not set(DOCUMENTED) - payload.keys()
    assert (payload["status"], payload["call_type"], payload["total_tokens"]) == ("success", "acompletion", 7)
    assert (payload["model"], payload["model_group"], payload["model_id"]) == ("GPT-5.2", "small", "d1")
    assert payload["endTime"] - payload["startTime"] == pytest.approx(0.5)
    assert payload["completionStartTime"] - payload["startTime"] == pytest.approx(0.2)
    assert payload["model_parameters"] == {"temperature": 0}
    assert payload["response"] == ANSWER
    assert (payload["end_user"], payload["request_tags"], payload["user_agent"]) == ("anna", ["paid"], "curl")


async def test_a_stream_is_logged_as_the_answer_it_amounts_to(tmp_path: Path):
    hooks = of(tmp_path, EVENTS)
    one = exchange(model="small", stream=True, first_at=10.1)
    async with hooks:
        await hooks.before(one, body())
        stream = hooks.stream(one)
        assert stream is not None
        for event in STREAMED:
            assert await stream.feed(event) == [event]  # only watched
        await stream.finish()
        stream.close()
        hooks.over(one)
    [(kind, kwargs, response, _)] = seen(hooks)
    assert kind == "success"
    assert response.choices[0].message.content == "a secret"
    assert kwargs["async_complete_streaming_response"] is response


async def test_what_an_answer_cost_can_be_asked(tmp_path: Path):
    """As LiteLLM's own example of a CustomLogger does."""
    asking = """
async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
    seen.append(litellm.completion_cost(completion_response=response_obj))
    seen.append(response_obj._hidden_params["response_cost"])
"""
    known = exchange(model="small", cost=Cost(usd=Decimal("0.25")))
    unknown = exchange(model="small", cost=Cost())
    hooks = of(tmp_path, asking)
    async with hooks:
        for one in (known, unknown):
            await hooks.before(one, body())
            await hooks.after(one, ANSWER)
            hooks.over(one)
    assert seen(hooks) == [0.25, 0.25, 0.0, None]
    assert set(hooks.failures.values()) == {0}


async def test_a_call_of_what_the_stand_in_lacks_is_told_where_it_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    hooks = of(
        tmp_path,
        """
async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
    litellm.get_llm_provider("x")
""",
    )
    async with hooks:
        one = exchange(model="small")
        await hooks.before(one, body())
        await hooks.after(one, ANSWER)
        hooks.over(one)
    assert "Quoth's stand-in for litellm has no get_llm_provider; pip install litellm at custom_callbacks.py:" in (
        caplog.text
    )


async def test_failure_is_logged(tmp_path: Path):
    one = exchange(model="small", status=502, error="upstream_error", message="no route")
    kind, kwargs, response, _ = await logged(of(tmp_path, EVENTS), one, None)
    assert (kind, response) == ("failure", None)
    assert (kwargs["exception"].status_code, str(kwargs["exception"])) == (502, "no route")
    payload = kwargs["standard_logging_object"]
    assert (payload["status"], payload["error_str"]) == ("failure", "no route")
    assert payload["error_information"]["error_code"] == "502"


async def test_what_asked_for_no_model_is_not_logged(tmp_path: Path):
    hooks = of(tmp_path, EVENTS)
    async with hooks:
        hooks.over(exchange(surface="health", route="/health/liveliness"))
        hooks.over(exchange(model="small", caller=None, status=401, error="authentication_error"))
    assert seen(hooks) == []


async def test_methods_that_are_not_called_are_said(tmp_path: Path):
    hooks = of(tmp_path, "def log_success_event(self, kwargs, response_obj, start_time, end_time): pass")
    name = "hook custom_callbacks.proxy_handler_instance"
    assert hooks.warnings == (f"{name}: log_success_event is not called here",)
    two = "def log_success_event(self, *a): pass\ndef log_pre_api_call(self, *a): pass"
    assert of(tmp_path, two).warnings == (f"{name}: log_pre_api_call, log_success_event are not called here",)


async def test_guards_that_are_not_called_refuse_to_load(tmp_path: Path):
    guard = "async def async_post_call_streaming_hook(self, user_api_key_dict, response): pass"
    with pytest.raises(HooksNotLoaded, match="async_post_call_streaming_hook would guard"):
        of(tmp_path, guard)
    accepted = of(tmp_path, guard, accept_unenforced=("async_post_call_streaming_hook",))
    assert "async_post_call_streaming_hook is not called here" in accepted.warnings[0]


async def test_what_the_stand_in_lacks_is_said(tmp_path: Path):
    (tmp_path / "mine.py").write_text("from litellm import acompletion")
    with pytest.raises(HooksNotLoaded, match="acompletion"):
        load_hooks(Settings(models=(), hooks=("mine.instance",)), tmp_path)
    (tmp_path / "mine.py").write_text("import litellm\nlitellm.acompletion")
    with pytest.raises(HooksNotLoaded, match="pip install litellm"):
        load_hooks(Settings(models=(), hooks=("mine.instance",)), tmp_path)
