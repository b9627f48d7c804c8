"""Hooks in a gateway that serves: before, after, per piece, observers; and a file that was written for LiteLLM."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, chat, sse
from tests.gateway.serving import Serving, chat_body

OWN = """
from quoth.gateway.hooks import Hook, Refuse, Reply

class Guard(Hook):
    chunks = True

    async def before(self, call):
        said = str(call.body["messages"])
        if "forbidden" in said:
            raise Refuse("not here", 403)
        if "canned" in said:
            raise Reply("from the hook")
        if "odd" in said:
            raise Reply("odd words")
        if "exit" in said:
            raise SystemExit(3)
        return {"temperature": 0}

    async def after(self, call, answer):
        if "odd" in answer["choices"][0]["message"]["content"]:
            raise Refuse("not out of here", 403)
        answer["choices"][0]["message"]["content"] = answer["choices"][0]["message"]["content"].upper()
        return answer

    async def chunk(self, call, text):
        return text.upper()

    async def end(self, call):
        return "!"

instance = Guard()
"""
LITELLM = """
from pathlib import Path
from litellm.integrations.custom_logger import CustomLogger

class Mine(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        data["top_p"] = 0.5
        data.pop("guardrails", None)
        return data

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        print("seen", kwargs["standard_logging_object"]["model_group"])
        with open(Path(__file__).parent / "seen", "a") as file:
            file.write(kwargs["standard_logging_object"]["model_group"] + "\\n")

handler = Mine()
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("hooks")
    (folder / "guard.py").write_text(OWN)
    (folder / "mine.py").write_text(LITELLM)
    settings: dict[str, Any] = {
        "litellm_settings": {"callbacks": ["mine.handler"]},
        "quoth": {"hooks": ["guard.instance"]},
    }
    # Buffered as it is where nobody says otherwise.
    with Serving(folder, upstream=upstream.url, environment={"PYTHONUNBUFFERED": ""}, **settings) as gateway:
        yield gateway


def said(text: str, **more: object) -> dict[str, object]:
    return chat_body(messages=[{"role": "user", "content": text}], **more)


def test_a_call_and_its_answer_are_changed(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("quiet"))
    answer = gateway.post(said("hi"))
    assert answer.json["choices"][0]["message"]["content"] == "QUIET"
    sent = json.loads(upstream.requests[-1].body)
    assert (sent["temperature"], sent["top_p"]) == (0, 0.5)


def test_guardrails_that_a_hook_runs_are_its_own_to_take_out(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("quiet"))
    assert gateway.post(said("hi", guardrails=["mine"])).status == 200
    assert "guardrails" not in json.loads(upstream.requests[-1].body)


def test_a_stream_is_changed_piece_by_piece(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(sse("one ", "two"))
    answer = gateway.post(said("hi", stream=True))
    assert answer.text == "ONE TWO!"
    assert answer.events[-1] == "[DONE]"


def test_a_hook_refuses(gateway: Serving, upstream: FaultServer) -> None:
    before = len(upstream.requests)
    answer = gateway.post(said("forbidden"))
    assert (answer.status, answer.error["message"], answer.error["type"]) == (403, "not here", "hook_refused")
    assert len(upstream.requests) == before


@pytest.mark.parametrize("stream", [False, True])
def test_a_hook_that_exits_ends_neither_the_worker_nor_the_envelope(
    stream: bool, gateway: Serving, upstream: FaultServer
) -> None:
    answer = gateway.post(said("exit", stream=stream))
    assert (answer.status, answer.error["type"], answer.error["code"]) == (500, "hook_failed", "500")
    assert answer.headers["x-request-id"]
    assert not any("ended with code" in line or "Traceback" in line for line in gateway.told)


def test_a_hook_answers_in_the_models_place(gateway: Serving, upstream: FaultServer) -> None:
    before = len(upstream.requests)
    assert "hook" in gateway.post(said("canned")).json["choices"][0]["message"]["content"].lower()
    assert "hook" in gateway.post(said("canned", stream=True)).text.lower()
    assert len(upstream.requests) == before


def test_an_answer_in_the_models_place_is_refused_like_any_other(gateway: Serving) -> None:
    answer = gateway.post(said("odd"))
    assert (answer.status, answer.error["message"], answer.error["type"]) == (403, "not out of here", "hook_refused")
    assert gateway.line(answer)["status"] == 403


def test_an_observer_written_for_litellm_is_told(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("x"))
    assert gateway.post(said("hi")).status == 200
    seen = gateway.file.parent / "seen"
    end = time.monotonic() + 20
    while not seen.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert "m" in seen.read_text().split()


def test_what_a_hook_prints_is_there_at_once(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("x"))
    assert gateway.post(said("hi")).status == 200
    end = time.monotonic() + 20
    while "seen m" not in gateway.log and time.monotonic() < end:
        time.sleep(0.02)
    assert "seen m" in gateway.log
