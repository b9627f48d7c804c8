"""Calls that cannot be sent: refused here, with the place that is wrong, and nothing leaves."""

from __future__ import annotations

import datetime
import decimal
import enum
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from quoth import errors
from tests.faults.harness import KEY, MESSAGES, Caller, elapsed
from tests.faultserver import FaultServer, chat

pytestmark = pytest.mark.timeout(60)

Calling = Callable[..., Caller]


def cycle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def nested(depth: int, value: Any = 1) -> Any:
    for _ in range(depth):
        value = {"a": value}
    return value


def shared(depth: int) -> Any:
    """A list of two lists of two lists ...: few objects, and a great many values."""
    value: Any = ["a", "b"]
    for _ in range(depth):
        value = [value, value]
    return value


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **function}}]}


class Thing:
    pass


# Each: the keywords, and the `param` of the error: where it is wrong.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "messages: a number": ({"messages": 5}, "messages"),
    "messages: a text": ({"messages": "hi"}, "messages"),
    "messages: none": ({"messages": None}, "messages"),
    "messages: empty": ({"messages": []}, "messages"),
    "messages: one message": ({"messages": MESSAGES[0]}, "messages"),
    "messages: a generator": ({"messages": iter(MESSAGES)}, "messages"),
    "messages: numbers": ({"messages": [5]}, "messages[0]"),
    "messages: None in it": ({"messages": [MESSAGES[0], None]}, "messages[1]"),
    "messages: a list in it": ({"messages": [MESSAGES]}, "messages[0]"),
    "role: missing": ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    "role: unknown": ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
    "role: a number": ({"messages": [{"role": 5, "content": "hi"}]}, "messages[0].role"),
    "role: a list": ({"messages": [{"role": [], "content": "hi"}]}, "messages[0].role"),
    "content: a number": (user(7), "messages[0].content"),
    "content: an object": (user({"type": "text", "text": "hi"}), "messages[0].content"),
    "content: numbers": (user([5]), "messages[0].content[0]"),
    "content: a part without type": (user([{"text": "hi"}]), "messages[0].content[0]"),
    "content: bytes": (user(b"hi"), "messages[0].content"),
    "content: an object of a class": (user(Thing()), "messages[0].content"),
    "content: a cycle": (user(cycle()), "messages[0].content"),
    "content: 1000 deep": (user([nested(1000)]), "messages[0].content[0]"),
    "content: shared without measure": (user([{"type": "text", "more": shared(100)}]), "messages[0].content[0].more"),
    "content: a lone surrogate": (user("a\ud800b"), "messages[0].content"),
    "content: a lone surrogate in a part": (user([{"type": "text", "text": "\udfff"}]), "messages[0].content[0].text"),
    "content: a lone surrogate in a key": (user([{"type": "text", "\ud800": 1}]), "messages[0].content[0]"),
    "content: a number as key": (user([{"type": "text", 5: 1}]), "messages[0].content[0]"),
    "model: none": ({"model": None}, "model"),
    "model: empty": ({"model": ""}, "model"),
    "model: blank": ({"model": " \n"}, "model"),
    "model: a number": ({"model": 5}, "model"),
    "model: a list": ({"model": ["m"]}, "model"),
    "model: a lone surrogate": ({"model": "m\ud800"}, "model"),
    "temperature: a text": ({"temperature": "hot"}, "temperature"),
    "temperature: a boolean": ({"temperature": True}, "temperature"),
    "temperature: NaN": ({"temperature": float("nan")}, "temperature"),
    "temperature: infinite": ({"temperature": float("inf")}, "temperature"),
    "temperature: Decimal": ({"temperature": decimal.Decimal("0.5")}, "temperature"),
    "top_p: a list": ({"top_p": [1]}, "top_p"),
    "max_tokens: a fraction": ({"max_tokens": 1.5}, "max_tokens"),
    "max_tokens: a text": ({"max_tokens": "9"}, "max_tokens"),
    "n: a text": ({"n": "3"}, "n"),
    "stop: a number": ({"stop": 5}, "stop"),
    "tools: an object": ({"tools": {}}, "tools"),
    "tools: a set": ({"tools": {1}}, "tools"),
    "tools: bytes inside": (tool(description=b"x"), "tools[0].function.description"),
    "tools: a lone surrogate": (tool(description="\ud800"), "tools[0].function.description"),
    "tools: NaN inside": (tool(parameters={"minimum": float("nan")}), "tools[0].function.parameters.minimum"),
    "tools: a cycle": (tool(parameters=cycle()), "tools[0].function.parameters"),
    "tool_choice: a number": ({"tool_choice": 7}, "tool_choice"),
    "user: a number": ({"user": 5}, "user"),
    "logit_bias: numbers as keys": ({"logit_bias": {50256: -100}}, "logit_bias"),
    "metadata: a text": ({"metadata": "x"}, "metadata"),
    "metadata: a date": ({"metadata": {"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}}, "metadata.at"),
    "extra_body: a list": ({"extra_body": []}, "extra_body"),
    "custom: bytes": ({"my_own": b"x"}, "my_own"),
    "custom: a set": ({"my_own": {"a": {1, 2}}}, "my_own.a"),
    "custom: a class": ({"my_own": Thing}, "my_own"),
    "custom: a function": ({"my_own": print}, "my_own"),
    "custom: a number without end": ({"my_own": 10**5000}, "my_own"),
    "stream: a text": ({"stream": "yes"}, "stream"),
    "num_retries: negative": ({"num_retries": -1}, "num_retries"),
    "num_retries: a text": ({"num_retries": "2"}, "num_retries"),
    "drop_params: a text": ({"drop_params": "yes"}, "drop_params"),
    "additional_drop_params: a text": ({"additional_drop_params": "stop"}, "additional_drop_params"),
    "additional_drop_params: a number": ({"additional_drop_params": 5}, "additional_drop_params"),
    "fallbacks: a text": ({"fallbacks": "poe/x"}, "fallbacks"),
    "fallbacks: a number": ({"fallbacks": 5}, "fallbacks"),
    "fallbacks: numbers": ({"fallbacks": [5]}, "fallbacks[0]"),
    "fallbacks: no model": ({"fallbacks": [{"temperature": 1}]}, "fallbacks[0]"),
    "fallbacks: bytes": ({"fallbacks": [{"model": "poe/x", "top_k": b"x"}]}, "fallbacks[0].top_k"),
    "headers: a text": ({"extra_headers": "x: y"}, "extra_headers"),
    "headers: a line break": ({"extra_headers": {"x-a": "b\r\nx-c: d"}}, "extra_headers"),
    "headers: NUL": ({"extra_headers": {"x-a": "b\x00"}}, "extra_headers"),
    "headers: beyond Latin-1": ({"extra_headers": {"x-a": "世"}}, "extra_headers"),
    "headers: a bad name": ({"extra_headers": {"x a": "b"}}, "extra_headers"),
    "headers: a line break in a name": ({"extra_headers": {"x\r\na": "b"}}, "extra_headers"),
    "headers: an empty name": ({"extra_headers": {"": "b"}}, "extra_headers"),
    "headers: a number as name": ({"extra_headers": {5: "b"}}, "extra_headers"),
    "headers: the length": ({"extra_headers": {"Content-Length": "3"}}, "extra_headers"),
    "headers: the framing": ({"extra_headers": {"Transfer-Encoding": "chunked"}}, "extra_headers"),
    "quirks: unknown": ({"disable_quirks": ["nonsense"]}, "disable_quirks"),
    "mock: a number": ({"mock_response": 5}, "mock_response"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda name: name.replace(": ", "-").replace(" ", "-"))
def test_what_cannot_be_sent_is_refused_with_its_place(caller: Caller, server: FaultServer, wrong: str):
    keywords, where = WRONG[wrong]
    server.play(chat())
    with pytest.raises(errors.BadRequestError) as caught:
        caller.whole(**keywords)
    raised = caught.value
    assert raised.param is not None
    assert raised.param.startswith(where)
    assert not server.requests
    assert raised.message.encode(errors="backslashreplace")
    assert len(raised.message) < 1000


def test_a_prompt_of_70_megabytes(caller: Caller, server: FaultServer, stream: bool):
    server.play(chat())
    with (
        elapsed() as seconds,
        pytest.raises(errors.BadRequestError, match=r"70\.\d MiB; the limit is 64 MiB") as caught,
    ):
        caller.ask(stream=stream, **user("x" * (70 << 20)))
    assert caught.value.param == "messages"
    assert not server.requests
    assert seconds[0] < 10


def test_a_prompt_of_60_megabytes_is_sent(caller: Caller, server: FaultServer):
    server.play(chat("long"))
    assert caller.ask(stream=False, **user("x" * (60 << 20))).text == "long"
    assert len(server.requests[0].body) > 60 << 20


class Role(enum.StrEnum):
    USER = "user"


class Effort(enum.Enum):
    LOW = "low"


class Count(enum.IntEnum):
    TWO = 2


class Text(str):
    __slots__ = ()


class Number(float):
    pass


class Part(BaseModel):
    type: str = "text"
    text: str


def test_what_means_the_same_in_json_is_sent(caller: Caller, server: FaultServer):
    server.play(chat())
    caller.whole(
        model=Text("m"),
        messages=(
            {
                "role": Role.USER,
                "content": [Part(text=Text("hi"), type="text"), {"type": "text", "text": "\U0001f600\x00\u202e"}],
            },
        ),
        temperature=Number(0.5),
        max_tokens=Count.TWO,
        stop=("a", "b"),
        top_k=types.MappingProxyType({"a": OrderedDict(b=Effort.LOW)}),
        seed=2**70,
        zero=-0.0,
        tiny=5e-324,
    )
    body = server.requests[0].json()
    assert body["model"] == "m"
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "\U0001f600\x00\u202e"}]}
    ]
    assert (body["temperature"], body["max_tokens"], body["stop"]) == (0.5, 2, ["a", "b"])
    assert body["top_k"] == {"a": {"b": "low"}}
    assert (body["seed"], body["zero"], body["tiny"]) == (2**70, 0, 5e-324)


# Names, keys and addresses.


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("nonsense/x", "'nonsense' (in 'nonsense/x') is not a provider"),
        ("poo/Claude-Sonnet-4.6", "Did you mean 'poe'?"),
        ("poe/", "names a provider but no model"),
        ("/x", "is not a provider"),
        ("Claude-Sonnet-4.6", "poe/Claude-Sonnet-4.6"),
    ],
)
def test_a_model_of_nobody(calling: Calling, server: FaultServer, model: str, says: str):
    with pytest.raises(errors.BadRequestError) as caught:
        calling(base_url=None).whole(model=model)
    assert says in caught.value.message
    assert caught.value.param == "model"
    assert not server.requests


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-a\r\nx-evil: 1", "sk-\x00", "sk-\u200b", "ключ", "sk-\x7f"])
def test_a_key_that_no_header_can_carry(caller: Caller, server: FaultServer, key: str):
    with pytest.raises(errors.AuthenticationError) as caught:
        caller.whole(api_key=key)
    assert key not in caught.value.message
    assert not server.requests


@pytest.mark.parametrize("key", ["", " \n", None])
def test_a_blank_key_is_none(calling: Calling, server: FaultServer, key: str | None):
    with pytest.raises(errors.AuthenticationError, match="POE_API_KEY"):
        calling(api_key=key).whole(model="poe/Claude-Sonnet-4.6")
    assert not server.requests


ADDRESSES = [
    "ftp://host/v1",
    "file:///etc/passwd",
    "api.poe.com/v1",
    "//host/v1",
    "http://",
    "http:///v1",
    "http://:80/v1",
    "http://a b/v1",
    "http://host/a b",
    "http://host\n/v1",
    "http://host/v1\r\nx-evil: 1",
    "http://host/\x00",
    "http://host:99999/v1",
    "http://host:0/v1",
    "http://host:abc/v1",
    "http://host:-1/v1",
    "http://user:secret@host/v1",
    "http://host/v1?key=secret",
    "http://host/v1#here",
    "http://[::1/v1",
    "http://[zz]/v1",
    "http://::1/v1",
    "http://a..b/v1",
    "http://.host/v1",
    f"http://{'a' * 70}.test/v1",
    "http://ho\u2100st/v1",
    "http://nöwhere.invalid/v1",
    "http://\ud800/v1",
    "http://host\\@elsewhere/v1",
    "http://hö st/v1",
    "http://host/pfad/ä/v1",
]


@pytest.mark.parametrize("address", ADDRESSES, ids=ascii)
@pytest.mark.parametrize("source", ["call", "environment"])
def test_a_broken_base_url(caller_type: type[Caller], address: str, source: str, monkeypatch: pytest.MonkeyPatch):
    given: dict[str, Any] = {"api_key": KEY}
    if source == "call":
        given = {"api_base": address, "api_key": KEY}
    elif "\x00" in address or "\ud800" in address:
        return  # what no environment can hold
    else:
        monkeypatch.setenv("POE_API_BASE", address)
    with caller_type() as caller, pytest.raises(errors.BadRequestError) as caught:
        caller.whole(model="poe/Claude-Sonnet-4.6", **given)
    raised = caught.value
    assert raised.param == "api_base"
    assert ("api_base" if source == "call" else "POE_API_BASE") in raised.message
    assert "secret" not in raised.message


@pytest.mark.parametrize(
    "address",
    [
        f"http://{'a.' * 200}test/v1",
        "http://[::1]:9/v1",
        "HTTP://LOCALHOST:9",
        "http://127.0.0.1:9///",
    ],
)
def test_an_unusual_base_url(caller_type: type[Caller], address: str):
    """Fine as an address; there is only nobody there."""
    with caller_type(base_url=address) as caller, pytest.raises(errors.APIConnectionError):
        caller.whole()


def test_slashes_after_the_base_url_do_not_matter(calling: Calling, server: FaultServer):
    server.play(chat())
    for ending in ("", "/", "//"):
        calling(base_url=f"{server.url}/v1{ending}").whole()
    assert {request.path for request in server.requests} == {"/v1/chat/completions"}


# Proxies.

PROXIES = [
    "http://",
    "socks5://127.0.0.1:1",
    "http://host:port",
    "http://[::1",
    "::::",
    "ftp://host",
    "http://host:99999",
    "a b",
]


def test_a_proxy_that_is_no_text(caller_type: type[Caller]):
    with pytest.raises(errors.BadRequestError, match="proxy"):
        caller_type(proxy=5)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_malformed_proxy(caller_type: type[Caller], stream: bool, proxy: str):
    with (
        caller_type(base_url="https://upstream.test", proxy=proxy) as caller,
        pytest.raises(errors.APIConnectionError, match="proxy is not the URL of a proxy") as caught,
    ):
        caller.ask(stream=stream, num_retries=2)
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_malformed_proxy_in_the_environment(
    caller_type: type[Caller], proxy: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, proxy)
    with (
        caller_type(base_url="https://upstream.test") as caller,
        pytest.raises(errors.APIConnectionError, match=f"{name} is not the URL of a proxy"),
    ):
        caller.whole()


def test_a_malformed_proxy_says_nothing_of_its_password(caller_type: type[Caller]):
    with (
        caller_type(base_url="https://upstream.test", proxy="socks5://me:hunter2@host") as caller,
        pytest.raises(errors.APIConnectionError) as caught,
    ):
        caller.whole()
    assert "hunter2" not in caught.value.message
