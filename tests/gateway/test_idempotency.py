"""C20: a request that is sent again is executed once, whatever became of the first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quoth.errors import BadRequestError, ConflictError, UnprocessableEntityError
from quoth.gateway.idempotency import Claim, Keys, Replay, digest, keeps
from tests.gateway.exchanges import Clock

BODY = digest("POST", "/v1/chat/completions", b"{}")


def keys(clock: Clock | None = None, **options: Any) -> Keys:
    return Keys(86_400.0, clock or Clock(), **options)


async def first(table: Keys, key: bytes = b"k1", caller: str = "anna") -> Claim:
    claim = await table.claim(caller, key, BODY)
    assert isinstance(claim, Claim)
    return claim


async def settled(table: Keys, key: bytes = b"k1", body: bytes = b"answer", caller: str = "anna") -> None:
    with await first(table, key, caller) as claim:
        claim.settle(200, [(b"content-type", b"application/json")], body)


async def test_the_first_result_is_given_again():
    table = keys()
    await settled(table)
    again = await table.claim("anna", b"k1", BODY)
    assert again == Replay(200, ((b"content-type", b"application/json"),), b"answer")


async def test_a_failure_after_execution_began_is_a_result():
    table = keys()
    with await first(table) as claim:
        claim.settle(500, [], b"error")
    again = await table.claim("anna", b"k1", BODY)
    assert isinstance(again, Replay)
    assert again.status == 500


def test_which_results_are_kept():
    assert [
        status for status in (200, 201, 400, 402, 404, 409, 422, 429, 500, 502, 503, 504, 529) if keeps(status)
    ] == [
        200,
        201,
        500,
        502,
        504,
    ]


async def test_another_request_with_the_same_key_is_refused():
    table = keys()
    await settled(table)
    other = digest("POST", "/v1/chat/completions", b'{"n": 2}')
    with pytest.raises(UnprocessableEntityError) as caught:
        await table.claim("anna", b"k1", other)
    assert (caught.value.status_code, caught.value.type) == (422, "idempotency_conflict")
    async with asyncio.timeout(5):
        under_way = await first(table, b"k2")
        with pytest.raises(UnprocessableEntityError):
            await table.claim("anna", b"k2", other)
        with under_way:
            pass


def test_what_makes_two_requests_the_same():
    found = {
        digest("POST", "/v1/chat/completions", b"{}"),
        digest("POST", "/v1/embeddings", b"{}"),
        digest("PUT", "/v1/chat/completions", b"{}"),
        digest("POST", "/v1/chat/completions", b"{} "),
    }
    assert len(found) == 4


async def test_keys_of_callers_are_their_own():
    table = keys()
    await settled(table, caller="anna")
    assert isinstance(await table.claim("bert", b"k1", BODY), Claim)


async def test_a_second_request_waits_for_the_first():
    table = keys()
    claim = await first(table)
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(table.claim("anna", b"k1", BODY)) for _ in range(5)]
        await asyncio.sleep(0)
        with claim:
            claim.settle(200, [], b"answer")
    assert [task.result() for task in others] == [Replay(200, (), b"answer")] * 5


async def test_when_the_first_gives_up_one_of_the_others_is_the_first():
    table = keys()
    claim = await first(table)
    executed = 0

    async def another() -> bytes:
        nonlocal executed
        found = await table.claim("anna", b"k1", BODY)
        if isinstance(found, Replay):
            return found.body
        with found:
            executed += 1
            await asyncio.sleep(0)
            found.settle(200, [], b"answer")
        return b"answer"

    async with asyncio.TaskGroup() as group:
        others = [group.create_task(another()) for _ in range(5)]
        await asyncio.sleep(0)
        with claim:
            pass  # its client left, or the request was refused
    assert [task.result() for task in others] == [b"answer"] * 5
    assert executed == 1


async def test_nobody_waits_for_ever():
    table = keys(patience=0.01)
    with await first(table), pytest.raises(ConflictError) as caught:
        await table.claim("anna", b"k1", BODY)
    assert caught.value.status_code == 409


async def test_not_everybody_waits():
    table = keys(most_waiters=2)
    claim = await first(table)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(table.claim("anna", b"k1", BODY)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ConflictError):
            await table.claim("anna", b"k1", BODY)
        with claim:
            claim.settle(200, [], b"answer")
    assert all(isinstance(task.result(), Replay) for task in waiting)


async def test_who_waits_and_leaves_is_forgotten():
    table = keys(most_waiters=1)
    claim = await first(table)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await table.claim("anna", b"k1", BODY)
    with claim:
        claim.settle(200, [], b"answer")
    assert isinstance(await table.claim("anna", b"k1", BODY), Replay)


async def test_a_key_may_be_used_anew_after_a_day():
    clock = Clock()
    table = keys(clock)
    await settled(table)
    clock.now += 86_399
    assert isinstance(await table.claim("anna", b"k1", BODY), Replay)
    clock.now += 2
    with await first(table):
        pass


async def test_a_long_execution_does_not_make_its_own_key_old():
    clock = Clock()
    table = keys(clock)
    claim = await first(table)
    clock.now += 100_000
    with claim:
        claim.settle(200, [], b"answer")
    assert isinstance(await table.claim("anna", b"k1", BODY), Replay)


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\x00b", b"\xc3\xa4", b"a\tb"])
async def test_keys_that_are_none(key: bytes):
    with pytest.raises(BadRequestError):
        await keys().claim("anna", key, BODY)
    assert isinstance(await keys().claim("anna", b"x" * 255, BODY), Claim)


async def test_memory_has_a_bound():
    table = keys(max_bytes=100_000, max_entries=50)
    under_way = await first(table, b"under way")
    for number in range(500):
        await settled(table, f"k{number}".encode(), b"x" * 5_000)
        assert table.bytes <= 100_000
        assert len(table) <= 50
    assert isinstance(await table.claim("anna", b"k499", BODY), Replay), "the newest stay"
    with under_way:
        under_way.settle(200, [], b"answer")
    assert isinstance(await table.claim("anna", b"under way", BODY), Replay)


async def test_bytes_are_counted_down_to_nothing():
    clock = Clock()
    table = keys(clock)
    for number in range(20):
        await settled(table, f"k{number}".encode(), b"x" * number * 100)
    clock.now += 90_000
    for number in range(20):
        with await first(table, f"k{number}".encode()):
            pass
    assert (len(table), table.bytes) == (0, 0)


async def test_an_answer_too_large_to_keep_is_not_executed_again():
    table = keys()
    await settled(table, body=b"x" * (5 << 20))
    assert table.bytes < 10_000
    with pytest.raises(ConflictError, match="too large"):
        await table.claim("anna", b"k1", BODY)


def test_it_can_be_switched_off():
    assert keys().heeds("anna", b"k1")
    assert not Keys(0.0, Clock()).heeds("anna", b"k1")


async def test_another_ttl_counts_for_keys_that_come_later():
    clock = Clock()
    table = keys(clock)
    await settled(table)
    table.ttl = 60.0
    await settled(table, b"k2")
    clock.now += 61
    assert isinstance(await table.claim("anna", b"k1", BODY), Replay)
    with await first(table, b"k2"):
        pass


async def test_what_was_promised_is_kept_when_it_is_switched_off():
    clock = Clock()
    table = keys(clock)
    await settled(table)
    under_way = await first(table, b"under way")
    table.ttl = 0.0
    with under_way:
        under_way.settle(200, [], b"answer")
    clock.now += 86_000
    for key in (b"k1", b"under way"):
        assert table.heeds("anna", key)
        assert isinstance(await table.claim("anna", key, BODY), Replay)
    assert not table.heeds("bob", b"k1")
    clock.now += 1_000
    assert not table.heeds("anna", b"k1")
