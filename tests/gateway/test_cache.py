"""The response cache: what may be answered from it, and what never (X27)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoth.errors import BadRequestError
from quoth.gateway.cache import Controls, Memory, Plan, ResponseCache, Stored, controls_from, key_of, whole
from quoth.gateway.settings import Cache
from tests.gateway.exchanges import Clock, exchange

BODY = {"model": "gpt", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def make(clock: Clock | None = None, **settings: Any) -> ResponseCache:
    return ResponseCache(Cache(**settings), clock or Clock())


def plan(cache: ResponseCache, /, caller: str = "anna", surface: str = "chat", **facts: Any) -> Plan | None:
    more = {name: facts.pop(name) for name in ("stream", "cache_control", "vary") if name in facts}
    return cache.plan(surface, caller, "gpt", {**BODY, **facts}, **{"stream": False, **more})


def sure(cache: ResponseCache, /, **facts: Any) -> Plan:
    found = plan(cache, **facts)
    assert found is not None
    return found


async def test_an_equal_call_by_the_same_caller_hits():
    cache = make()
    assert await cache.find(sure(cache)) is None
    await cache.keep(sure(cache), b"answer", [(b"x-quoth-model", b"poe/GPT-5.2")])
    found = await cache.find(sure(cache))
    assert found is not None
    assert (found.body, found.headers) == (b"answer", ((b"x-quoth-model", b"poe/GPT-5.2"),))
    assert (cache.hits, cache.misses) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"caller": "bert"},
        {"messages": [{"role": "user", "content": "Hi "}]},
        {"temperature": 0.1},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tool_choice": "none"},
        {"user": "u1"},
        {"seed": 1},
        {"output_effort": "high"},
        {"stream": True},
        {"stream_options": {"include_usage": True}},
        {"vary": ["tag:paid"]},
        {"cache": {"namespace": "mine"}},
    ],
    ids=str,
)
async def test_a_call_that_differs_in_anything_misses(other: dict[str, Any]):
    cache = make()
    await cache.keep(sure(cache), b"answer")
    assert await cache.find(sure(cache, **other)) is None


async def test_what_says_nothing_about_the_answer_does_not_count():
    cache = make()
    await cache.keep(sure(cache), b"answer")
    assert await cache.find(sure(cache, metadata={"trace": 1}, cache={"ttl": 5})) is not None


def test_the_surface_counts():
    cache = make(supported_call_types=("completion", "text_completion"))
    assert sure(cache).key != sure(cache, surface="completions").key


def test_a_namespace_of_the_settings_and_one_of_the_caller_are_not_mixed_up():
    one = sure(make(namespace="a"), cache={"namespace": "b:c"})
    two = sure(make(namespace="a:b"), cache={"namespace": "c"})
    assert one.key != two.key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_neither_order_nor_spacing_nor_form_counts(body: dict[str, Any]):
    turned = dict(reversed(body.items()))
    raw = {name: msgspec.Raw(b" " + msgspec.json.encode(value)) for name, value in body.items()}
    keys = {key_of("anna", "chat", "gpt", one, stream=False) for one in (body, turned, raw)}
    assert len(keys) == 1


def canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5), st.text(max_size=4), JSON, JSON)
def test_any_entry_counts(body: dict[str, Any], name: str, one: Any, two: Any):
    same = canonical(one) == canonical(two)
    if name in ("cache", "metadata", "stream") or same:
        return
    keys = [key_of("anna", "chat", "gpt", {**body, name: value}, stream=False) for value in (one, two)]
    assert keys[0] != keys[1]


async def test_no_cache_asks_the_provider_and_keeps_the_new_answer():
    cache = make()
    await cache.keep(sure(cache), b"old")
    fresh = sure(cache, cache={"no-cache": True})
    assert await cache.find(fresh) is None
    await cache.keep(fresh, b"new")
    found = await cache.find(sure(cache))
    assert found is not None
    assert found.body == b"new"


async def test_no_store_reads_and_keeps_nothing():
    cache = make()
    once = sure(cache, cache={"no-store": True})
    await cache.keep(once, b"answer")
    assert await cache.find(once) is None
    assert plan(cache, cache={"no-store": True, "no-cache": True}) is None
    assert plan(cache, cache_control=b"no-store, no-cache") is None


async def test_times():
    clock = Clock()
    cache = make(clock, ttl=60.0)
    await cache.keep(sure(cache), b"answer")
    await cache.keep(sure(cache, caller="bert", cache={"ttl": 600}), b"answer")
    clock.now += 50
    assert await cache.find(sure(cache, cache={"s-maxage": 49})) is None
    assert await cache.find(sure(cache, cache_control=b"max-age=49")) is None
    assert await cache.find(sure(cache, cache={"s-maxage": 51})) is not None
    clock.now += 10
    assert await cache.find(sure(cache)) is None
    assert await cache.find(sure(cache, caller="bert")) is not None
    assert len(cache.memory) == 1, "what is too old is let go"


async def test_off_by_default_where_the_settings_say_so():
    cache = make(mode="default_off")
    assert plan(cache) is None
    assert plan(cache, cache={"use-cache": True}) is not None


def test_only_the_kinds_of_calls_that_the_settings_name():
    cache = make(supported_call_types=("aembedding",))
    assert plan(cache) is None
    assert plan(cache, surface="embeddings") is not None
    assert plan(cache, surface="messages") is None
    assert plan(make(), surface="messages") is not None
    assert plan(make(), surface="responses") is not None
    assert plan(make(), surface="images") is None


def test_calls_that_the_provider_is_to_store_are_made():
    assert plan(make(), store=True) is None
    assert plan(make(), store=msgspec.Raw(b" true")) is None
    assert plan(make(), store=False) is not None


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("yes", "cache"),
        ({"no-cache": "x"}, "cache"),
        ({"nocache": True}, "cache"),
        ({"ttl": -1}, "cache.ttl"),
        ({"s-maxage": "5"}, "cache"),
        ({"namespace": 5}, "cache"),
    ],
)
def test_words_that_mean_nothing_are_said_so(value: Any, param: str):
    with pytest.raises(BadRequestError) as caught:
        controls_from(value)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "header", [b"", b"max-age=, ,=", b"max-age=99999999999999", b"private", b"\xff\xfe", b"s-maxage=x"]
)
def test_a_header_that_means_nothing_is_no_error(header: bytes):
    assert controls_from(None, header) == Controls()


async def test_memory_has_a_bound_in_answers_and_in_bytes():
    clock = Clock()
    memory = Memory(clock, max_entries=3, max_bytes=100_000)
    for number in range(4):
        await memory.put(str(number), Stored(b"x"), 60)
        if number:
            await memory.get("0")  # used last, so it stays
    assert len(memory) == 3
    assert await memory.get("0") is not None
    assert await memory.get("1") is None
    memory = Memory(clock, max_entries=1000, max_bytes=100_000)
    for number in range(100):
        await memory.put(str(number), Stored(b"x" * 10_000), 60)
        assert memory.bytes <= 100_000
    assert len(memory) == 9
    await memory.put("large", Stored(b"x" * 50_000), 60)
    assert await memory.get("large") is None
    for number in range(100):
        await memory.put("again", Stored(b"x" * 1_000), 0 if number == 99 else 60)
    assert await memory.get("again") is None


def test_only_whole_answers_are_kept():
    assert whole(exchange(finish_reason="stop"))
    assert whole(exchange(surface="embeddings"))
    assert not whole(exchange(finish_reason=None)), "a stream that did not come to its end"
    for facts in (
        {"status": 500},
        {"status": 201},
        {"error": "stream_interrupted"},
        {"left": True},
        {"cache_hit": True},
    ):
        assert not whole(exchange(**{"finish_reason": "stop", **facts}))


async def test_streams_are_kept_as_the_bytes_that_went_by():
    cache = make(max_bytes=8_000)
    recorder = cache.recorder()
    for piece in (b"data: {}\n\n", b"data: [DO", b"NE]\n\n"):
        recorder.feed(piece)
    assert recorder.data == b"data: {}\n\ndata: [DONE]\n\n"
    recorder.feed(b"x" * 1_000)
    assert recorder.data is None, "too large to be kept"
