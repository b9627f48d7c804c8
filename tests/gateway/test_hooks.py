"""Hooks: what they may change, what happens when they fail, and that they cost nothing where there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from quoth.errors import QuothError, RateLimitError
from quoth.gateway.exchange import Exchange
from quoth.gateway.hooks import (
    REMOVED,
    Call,
    Hook,
    HookFailed,
    Hooks,
    HooksNotLoaded,
    Refuse,
    Reply,
    load_hooks,
)
from quoth.gateway.settings import Quoth, Settings
from tests.gateway.exchanges import exchange


def hooks(*some: Hook, timeout: float = 5.0) -> Hooks:
    return Hooks([(f"mine.h{number}", hook) for number, hook in enumerate(some)], timeout)


def body() -> dict[str, Any]:
    return {"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}


BODY = body()


def chunk(text: str | None = None, finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    said = {**({} if text is None else {"content": text}), **delta}
    return {"id": "c1", "model": "gpt", "choices": [{"index": index, "delta": said, "finish_reason": finish}]}


def texts(events: list[dict[str, Any]], field: str = "content", index: int = 0) -> str:
    return "".join(
        choice["delta"].get(field) or "" for event in events for choice in event["choices"] if choice["index"] == index
    )


async def streamed(of: Hooks, one: Exchange, *events: dict[str, Any]) -> list[dict[str, Any]]:
    await of.before(one, body())
    through = of.stream(one)
    assert through is not None
    try:
        return [sent for event in events for sent in await through.feed(event)] + await through.finish()
    finally:
        through.close()


def test_without_hooks_there_is_nothing_to_do():
    none = load_hooks(Settings(models=()))
    assert [none.any, none.wants_request, none.wants_answer, none.wants_events] == [False] * 4


class Changing(Hook):
    async def before(self, call: Call) -> Mapping[str, Any]:
        return {"temperature": 0, "user": REMOVED, "model": f"{call.model}-mini"}


async def test_a_body_is_changed():
    changed = await hooks(Changing()).before(exchange(), {**BODY, "user": "anna"})
    assert changed == {**BODY, "temperature": 0, "model": "gpt-mini"}


async def test_hooks_run_in_order_and_see_what_those_before_made():
    changed = await hooks(Changing(), Changing()).before(exchange(), body())
    assert changed is not None
    assert changed["model"] == "gpt-mini-mini"


class InPlace(Hook):
    async def before(self, call: Call) -> None:
        call.body["messages"][0]["content"] = "Ho"


async def test_a_body_that_is_changed_in_place_is_changed():
    changed = await hooks(InPlace()).before(exchange(), body())
    assert changed is not None
    assert changed["messages"] == [{"role": "user", "content": "Ho"}]


class Looking(Hook):
    calls: list[Call]

    def __init__(self) -> None:
        self.calls = []

    async def before(self, call: Call) -> None:
        self.calls.append(call)


async def test_a_look_changes_nothing_and_shows_no_credentials():
    looking = Looking()
    headers = {b"authorization": b"Bearer secret", b"x-api-key": b"secret", b"cookie": b"a=b", b"user-agent": b"curl"}
    one = exchange(headers=headers, client="10.0.0.1", model="gpt", stream=True)
    assert await hooks(looking).before(one, {**BODY, "stream": True}) == {**BODY, "stream": True}
    [call] = looking.calls
    assert (call.id, call.surface, call.caller.id, call.client, call.stream, call.model) == (
        "req_1",
        "chat",
        "master",
        "10.0.0.1",
        True,
        "gpt",
    )
    assert call.headers == {"user-agent": "curl"}
    assert one.request is None, "texts are kept only for a hook that asks for them"


class Saying(Hook):
    def __init__(self, error: Exception):
        self.error = error

    async def before(self, call: Call) -> None:
        raise self.error

    async def after(self, call: Call, answer: dict[str, Any]) -> None:
        raise self.error


async def test_a_hook_refuses():
    with pytest.raises(Refuse, match="not today") as caught:
        await hooks(Saying(Refuse("not today", 403))).before(exchange(), body())
    assert caught.value.status_code == 403
    assert Refuse("no", 200).status_code == 400, "a refusal is never a success"


async def test_a_hook_answers_itself():
    with pytest.raises(Reply) as caught:
        await hooks(Saying(Reply("I am a hook"))).before(exchange(), body())
    answer = caught.value.completion("1", "gpt", 1_700_000_000)
    assert answer["choices"][0]["message"]["content"] == "I am a hook"
    events = caught.value.chunks("1", "gpt", 1_700_000_000)
    assert texts(events) == "I am a hook"
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_guard_that_fails_refuses_and_says_nothing_of_the_prompt(caplog: pytest.LogCaptureFixture):
    guard = hooks(Saying(ValueError("the prompt was: my secret")))
    with pytest.raises(HookFailed) as caught:
        await guard.before(exchange(), body())
    assert (caught.value.status_code, caught.value.type) == (500, "hook_failed")
    assert "secret" not in str(caught.value)
    assert "my secret" not in caplog.text
    assert "mine.h0 failed in before: ValueError at test_hooks.py:" in caplog.text
    assert guard.failures == {"mine.h0": 1}
    looked = hooks(Looking(), Saying(ValueError("x")))
    one = exchange()
    await hooks(Looking()).before(one, body())
    with pytest.raises(HookFailed):
        await looked.after(one, {"choices": []})


class Rash(Hook):
    """Fails everywhere, with what is more than an error."""

    chunks = True

    def __init__(self, error: BaseException):
        self.error = error

    async def before(self, call: Call) -> None:
        if call.model == "rash":
            raise self.error

    async def after(self, call: Call, answer: dict[str, Any]) -> dict[str, Any]:
        raise self.error

    async def chunk(self, call: Call, text: str) -> str:
        raise self.error

    async def failed(self, call: Call, error: QuothError) -> QuothError | None:
        raise self.error

    async def over(self, exchange: Exchange) -> None:
        raise self.error


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()], ids=["exits", "cancels"])
async def test_a_hook_that_exits_or_cancels_has_failed_like_any_other(error: BaseException):
    """Neither the call's connection nor the worker is its to end."""
    async with hooks(Rash(error)) as rash:
        with pytest.raises(HookFailed):
            await rash.before(exchange(), {**body(), "model": "rash"})
        one = exchange()
        await rash.before(one, body())
        with pytest.raises(HookFailed):
            await rash.after(one, {"choices": []})
        with pytest.raises(HookFailed):
            await streamed(rash, exchange(stream=True), chunk("a"))
        assert await rash.failed(one, QuothError("x")) is None
        rash.over(one)
    assert rash.failures == {"mine.h0": 5}


async def test_a_reply_comes_before_the_call_or_not_at_all():
    rash = hooks(Rash(Reply("too late")))
    one = exchange()
    await rash.before(one, body())
    with pytest.raises(HookFailed):
        await rash.after(one, {"choices": []})


def test_a_refusal_is_a_text_whatever_it_was_made_of():
    refuse: Any = Refuse
    assert refuse(None).message == "None"


class Slow(Hook):
    cancelled = False

    async def before(self, call: Call) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_a_guard_that_takes_too_long_refuses():
    slow = Slow()
    guard = hooks(slow, timeout=0.01)
    with pytest.raises(HookFailed, match="took longer"):
        await guard.before(exchange(), body())
    assert slow.cancelled
    assert guard.failures == {"mine.h0": 1}


async def test_a_caller_who_leaves_ends_a_hook_and_is_no_failure():
    slow = Slow()
    guard = hooks(slow)
    task = asyncio.tasks.ensure_future(guard.before(exchange(), body()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.cancelled
    assert guard.failures == {"mine.h0": 0}


class NoJson(Hook):
    async def before(self, call: Call) -> Mapping[str, Any]:
        return {"user": object()}


async def test_what_is_no_json_is_not_sent():
    with pytest.raises(HookFailed, match="no JSON"):
        await hooks(NoJson()).before(exchange(), body())


class Wrong(Hook):
    """Returns what it may not."""

    chunks = True

    async def before(self, call: Call) -> Any:
        return call.notes if call.model == "gpt" else "a text"

    async def after(self, call: Call, answer: dict[str, Any]) -> Any:
        return "a text"

    async def chunk(self, call: Call, text: str) -> Any:
        return None


async def test_what_a_hook_may_not_return_is_refused():
    wrong = hooks(Wrong())
    with pytest.raises(HookFailed):
        await wrong.before(exchange(), {"model": "other"})
    one = exchange()
    await wrong.before(one, body())
    with pytest.raises(HookFailed):
        await wrong.after(one, {"choices": []})
    with pytest.raises(HookFailed):
        await streamed(wrong, exchange(stream=True), chunk("a"))
    assert wrong.failures == {"mine.h0": 3}


async def test_an_observer_alone_does_not_ask_for_the_request():
    watched = hooks(Stuck())
    assert [watched.any, watched.wants_request, watched.wants_answer, watched.wants_events] == [
        True,
        False,
        False,
        False,
    ]


class Redacting(Hook):
    async def after(self, call: Call, answer: dict[str, Any]) -> dict[str, Any]:
        for choice in answer["choices"]:
            choice["message"]["content"] = choice["message"]["content"].replace("secret", "******")
        return answer


async def test_an_answer_is_redacted_or_left_as_it_is():
    redacting = hooks(Redacting())
    assert redacting.wants_answer
    assert not redacting.wants_events
    one = exchange()
    await redacting.before(one, body())
    answer = {"choices": [{"message": {"content": "a secret"}}]}
    assert await redacting.after(one, answer) == {"choices": [{"message": {"content": "a ******"}}]}
    assert await redacting.after(one, {"choices": [{"message": {"content": "nothing"}}]}) is None


class Shouting(Hook):
    chunks = True

    async def chunk(self, call: Call, text: str) -> str:
        return text.upper()


async def test_every_piece_of_text_goes_through():
    events = [chunk("he", role="assistant"), chunk("llo"), chunk(reasoning_content="hm"), chunk(finish="stop")]
    sent = await streamed(hooks(Shouting()), exchange(stream=True), *events)
    assert texts(sent) == "HELLO"
    assert texts(sent, "reasoning_content") == "HM"
    assert len(sent) == 4
    assert sent[0]["choices"][0]["delta"]["role"] == "assistant"


class Holding(Hook):
    """Sends only whole words, without the secret ones."""

    chunks = True

    async def chunk(self, call: Call, text: str) -> str:
        held = call.notes.get("held", "") + text
        whole, space, call.notes["held"] = held.rpartition(" ")
        return str(whole.replace("secret", "******") + space)

    async def end(self, call: Call) -> str:
        rest: str = call.notes.pop("held", "")
        return rest.replace("secret", "******")


async def test_text_may_be_held_back_until_more_is_known():
    pieces = [chunk("a sec"), chunk("ret wo"), chunk("rd sec"), chunk("ret"), chunk(finish="stop")]
    sent = await streamed(hooks(Holding()), exchange(stream=True), *pieces)
    assert texts(sent) == "a ****** word ******"
    assert sent[-1]["choices"][0] == {"index": 0, "delta": {"content": "******"}, "finish_reason": "stop"}


async def test_texts_of_several_choices_are_not_mixed_up():
    pieces = [chunk("one sec", index=0), chunk("two", index=1), chunk("ret", index=0), chunk(" more", index=1)]
    ends = [chunk(finish="stop", index=0), chunk(finish="stop", index=1)]
    sent = await streamed(hooks(Holding()), exchange(stream=True), *pieces, *ends)
    assert texts(sent, index=0) == "one ******"
    assert texts(sent, index=1) == "two more"


async def test_what_is_held_back_is_sent_also_without_a_finish_reason():
    sent = await streamed(hooks(Holding()), exchange(stream=True), chunk("the sec"), chunk("ret"))
    assert texts(sent) == "the ******"
    assert sent[-1]["id"] == "c1"


async def test_two_hooks_one_after_the_other():
    sent = await streamed(hooks(Holding(), Shouting()), exchange(stream=True), chunk("a sec"), chunk("ret"))
    assert texts(sent) == "A ******"


async def test_completions_have_their_text_elsewhere():
    one = exchange(stream=True, surface="completions")
    events = [{"id": "c", "choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("a sec", "ret")]
    sent = await streamed(hooks(Holding(), Shouting()), one, *events)
    assert "".join(choice["text"] for event in sent for choice in event["choices"]) == "A ******"


async def test_odd_events_pass():
    odd: list[dict[str, Any]] = [
        {"choices": None},
        {"error": {"message": "x"}},
        {"choices": [None, 5]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": None}, "index": "x"}]},
        {"choices": [], "usage": {"prompt_tokens": 5}},
    ]
    sent = await streamed(hooks(Shouting()), exchange(stream=True), *[dict(event) for event in odd])
    assert sent == odd


async def test_a_stream_that_no_hook_can_read_is_refused():
    one = exchange(stream=True, surface="responses")
    shouting = hooks(Shouting())
    await shouting.before(one, body())
    with pytest.raises(HookFailed):
        shouting.stream(one)


class Failing(Hook):
    chunks = True

    async def chunk(self, call: Call, text: str) -> str:
        raise ValueError(text)


async def test_a_guard_of_chunks_that_fails_refuses():
    with pytest.raises(HookFailed):
        await streamed(hooks(Failing()), exchange(stream=True), chunk("a"))


class Halving(Hook):
    chunks = True

    async def chunk(self, call: Call, text: str) -> str:
        return "\ud83d"


async def test_half_a_character_is_no_text():
    halving = hooks(Halving())
    with pytest.raises(HookFailed):
        await streamed(halving, exchange(stream=True), chunk("a"))
    assert halving.failures == {"mine.h0": 1}


class Watching(Hook):
    texts = True

    def __init__(self) -> None:
        self.seen: list[Exchange] = []
        self.errors: list[QuothError] = []

    async def failed(self, call: Call, error: QuothError) -> QuothError | None:
        self.errors.append(error)
        return Refuse("sorry", 503) if error.status_code == 429 else None

    async def over(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        self.seen.append(exchange)


async def test_observers_see_everything_and_are_waited_for():
    watching = Watching()
    one, two = exchange(stream=True, finish_reason="stop"), exchange()
    async with hooks(watching) as watched:
        await streamed(watched, one, chunk("he", role="assistant"), chunk("llo"), chunk(finish="stop"))
        watched.over(one)
        await watched.before(two, body())
        assert await watched.after(two, {"id": "a", "choices": []}) is None
        watched.over(two)
        assert watching.seen == [], "nobody waits for an observer"
    assert watching.seen == [one, two]
    assert one.request == two.request == BODY
    assert one.answer["choices"][0]["message"]["content"] == "hello"
    assert two.answer == {"id": "a", "choices": []}


async def test_an_observer_may_tell_another_error():
    watching = Watching()
    watched = hooks(watching)
    one = exchange()
    await watched.before(one, body())
    error = RateLimitError("slow down")
    another = await watched.failed(one, error)
    assert another is not None
    assert (another.status_code, another.message) == (503, "sorry")
    assert watching.errors == [error]
    assert await watched.failed(one, QuothError("other")) is None
    assert await watched.failed(exchange(), error) is None, "no hook was told of the call"


class BadObserver(Hook):
    async def failed(self, call: Call, error: QuothError) -> QuothError | None:
        raise KeyError

    async def over(self, exchange: Exchange) -> None:
        raise KeyError


async def test_an_observer_that_fails_is_counted_and_nothing_else():
    watching = Watching()
    async with hooks(BadObserver(), watching) as watched:
        one = exchange()
        await watched.before(one, body())
        assert await watched.failed(one, QuothError("x")) is None
        watched.over(one)
    assert watched.failures == {"mine.h0": 2, "mine.h1": 0}
    assert watching.seen == [one], "the next observer is told all the same"


class Stuck(Hook):
    async def over(self, exchange: Exchange) -> None:
        await asyncio.Event().wait()


async def test_observers_that_are_stuck_do_not_gather():
    async with hooks(Stuck(), timeout=0.2) as watched:
        for _ in range(1_500):
            watched.over(exchange())
        assert watched.failures == {"mine.h0": 500}
    assert watched.failures == {"mine.h0": 1_500}


# --- Loading ------------------------------------------------------------------------------------------------------

FILE = """
from dataclasses import dataclass

from beside import WORD
from quoth.gateway.hooks import Hook


@dataclass
class Mine(Hook):
    word: "str" = WORD

    async def before(self, call):
        return {"user": self.word}


instance = Mine()
other = Mine("other")
Class = Mine
number = 5
"""


def settings(tmp_path: Path, *names: str, file: str = FILE, **quoth: Any) -> Settings:
    (tmp_path / "mine.py").write_text(file)
    (tmp_path / "beside.py").write_text("WORD = 'beside'")
    return Settings(models=(), hooks=names, source_files=(str(tmp_path / "config.yaml"),), quoth=Quoth(**quoth))


async def test_files_beside_the_settings_are_loaded(tmp_path: Path):
    loaded = load_hooks(settings(tmp_path, "mine.instance", "mine.other"))
    assert loaded.failures == {"mine.instance": 0, "mine.other": 0}
    changed = await loaded.before(exchange(), body())
    assert changed == {**BODY, "user": "other"}


async def test_a_reload_reads_the_file_anew(tmp_path: Path):
    load_hooks(settings(tmp_path, "mine.instance"))
    loaded = load_hooks(settings(tmp_path, "mine.instance", file=FILE.replace("self.word", "'new'")))
    assert await loaded.before(exchange(), body()) == {**BODY, "user": "new"}


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("mine.nothing", FILE, "mine has no nothing"),
        ("mine.Class", FILE, "name an instance"),
        ("mine.number", FILE, "is of type int"),
        ("mine.instance", "1/0", "ZeroDivisionError"),
        ("mine.instance", "import not_there_at_all", "not_there_at_all"),
        ("mine.instance", "def", "SyntaxError"),
        ("mine.instance", "raise SystemExit(3)", "SystemExit: 3"),
        ("not_there_at_all.instance", FILE, "not_there_at_all"),
    ],
)
def test_what_cannot_be_loaded_is_said(tmp_path: Path, name: str, file: str, said: str):
    with pytest.raises(HooksNotLoaded, match=said):
        load_hooks(settings(tmp_path, name, file=file))
