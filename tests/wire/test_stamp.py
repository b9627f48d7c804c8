"""A chunk that is stamped cannot be told from one that was built and checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoth.types import Chunk
from quoth.wire.chat_surface import ChatEncoder
from quoth.wire.stamp import MARK, Chunks
from tests.wire.strategies import TEXT
from tests.wire.test_mould import inside, shown

HEADS: dict[str, tuple[int | None, dict[str, Any]]] = {
    "all that there is": (5, {"id": "c1", "model": "m"}),
    "nothing": (None, {}),
    "a number for a name": (None, {"id": 7, "created": 9}),
    "a model named like the mark": (1, {"id": MARK, "model": MARK}),
}


def built(head: dict[str, Any], name: str, text: str) -> Chunk:
    choice = {"index": 0, "delta": {name: text}, "finish_reason": None}
    return Chunk.model_validate({**head, "choices": [choice]})


@pytest.mark.parametrize("name", ["content", "reasoning_content", "reasoning", "refusal"])
@pytest.mark.parametrize("head", HEADS)
@given(texts=st.lists(TEXT | st.just(MARK), min_size=1, max_size=4))
def test_like_one_that_was_built(name: str, head: str, texts: list[str]) -> None:
    created, fields = HEADS[head]
    chunks = Chunks(created)
    chunks.begin(fields)
    for text in texts:
        stamped, expected = chunks.text(name, text).chunk(), built(chunks.head, name, text)
        assert stamped == expected
        assert inside(stamped) == inside(expected)
        assert shown(stamped) == shown(expected)


def test_what_begins_anew_is_seen_in_what_follows() -> None:
    chunks = Chunks(1)
    before = chunks.text("content", "a").chunk()
    chunks.begin({"id": "c2", "model": "other"})
    after = chunks.text("content", "b").chunk()
    assert (before.id, before.model, after.id, after.model) == (None, None, "c2", "other")
    assert after.created == 1


def test_each_is_its_own() -> None:
    chunks = Chunks(None)
    first, second = chunks.text("content", "a").chunk(), chunks.text("content", "b").chunk()
    first.model = "changed"
    first.choices[0].delta.more = 1  # type: ignore[attr-defined]
    first.choices[0].finish_reason = "stop"
    first.choices.append(first.choices[0])
    assert second == built(chunks.head, "content", "b")
    assert chunks.text("content", "c").chunk() == built(chunks.head, "content", "c")


@pytest.mark.parametrize("model", [None, "asked", MARK])
@pytest.mark.parametrize("head", HEADS)
@given(texts=st.lists(TEXT | st.just(MARK), min_size=1, max_size=4))
def test_a_text_is_told_as_its_chunk_would_be(head: str, model: str | None, texts: list[str]) -> None:
    created, fields = HEADS[head]
    chunks = Chunks(created)
    chunks.begin(fields)
    quick, whole = ChatEncoder(model), ChatEncoder(model)
    for text in texts:
        for name in ("content", "reasoning_content"):
            said = chunks.text(name, text)
            event, expected = quick.text(said), whole.feed(said.chunk())
            assert [json.loads(one.removeprefix(b"data: ")) for one in (event, expected)] == [
                json.loads(expected.removeprefix(b"data: "))
            ] * 2
            assert event.endswith(b"\n\n")
            assert event.count(b"\n") == 2
