"""`quoth chat` without a prompt, on a terminal of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from quoth.emulator import Emulator
from tests.cli.running import Quoth, Terminal

READY = "> "
CTRL_C, CTRL_D = "\x03", "\x04"


def sent(emulator: Emulator) -> list[dict[str, Any]]:
    body = emulator.requests[-1].body
    assert isinstance(body, dict)
    messages: list[dict[str, Any]] = body.get("messages") or body["input"]  # over chat, or over Responses
    return messages


def ask(terminal: Terminal, text: str, answer: str) -> None:
    terminal.line(text)
    terminal.until(answer)
    terminal.until(READY)


def test_turns_share_one_history(quoth: Quoth, emulator: Emulator) -> None:
    with quoth.on_terminal("chat", "--system", "Be brief.") as terminal:
        assert "poe/GPT-4.1-nano. /help lists the commands" in terminal.until(READY)
        ask(terminal, "What is 2 + 3?", "2 + 3 = 5")
        ask(terminal, "And what is 4 + 4?", "4 + 4 = 8")
        terminal.press(CTRL_D)
        assert terminal.ended() == 0
    assert sent(emulator) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 2 + 3?"},
        {"role": "assistant", "content": "[emulated GPT-4.1-nano] 2 + 3 = 5"},
        {"role": "user", "content": "And what is 4 + 4?"},
    ]
    assert "2 answers, about 4 points ($0.00012)." in terminal.text


def test_ctrl_c_stops_the_answer_only(quoth: Quoth, emulator: Emulator) -> None:
    with quoth.on_terminal("chat") as terminal:
        terminal.until(READY)
        emulator.faults("stall=after:20", "ok")
        terminal.line("Count from 1 to 50")
        terminal.until("1, 2")
        terminal.press(CTRL_C)
        terminal.until("Stopped.")
        terminal.until(READY)
        ask(terminal, "What is 2 + 3?", "2 + 3 = 5")
        terminal.line("/quit")
        assert terminal.ended() == 0
    question, partial, _ = sent(emulator)
    assert question["content"] == "Count from 1 to 50"
    assert partial["content"].startswith("[emulated GPT-4.1-nano] 1, 2")
    assert "Traceback" not in terminal.text


def arrived(emulator: Emulator) -> None:
    """Wait until a request has come."""
    deadline = time.monotonic() + 30
    while not emulator.requests:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_before_the_first_word_forgets_the_question(quoth: Quoth, emulator: Emulator) -> None:
    with quoth.on_terminal("chat", TERM="xterm") as terminal:
        terminal.until(READY)
        emulator.faults("stall=before", "ok")
        terminal.line("Count from 1 to 50")
        terminal.until("poe/GPT-4.1-nano")
        arrived(emulator)  # else the stall would be left for the next question
        terminal.press(CTRL_C)
        terminal.until("Stopped.")
        terminal.until(READY)
        ask(terminal, "What is 2 + 3?", "2 + 3 = 5")
        terminal.line("/quit")
        assert terminal.ended() == 0
    assert [message["content"] for message in sent(emulator)] == ["What is 2 + 3?"]


def test_ctrl_c_at_the_prompt_throws_the_line_away(quoth: Quoth, emulator: Emulator) -> None:
    with quoth.on_terminal("chat") as terminal:
        terminal.until(READY)
        terminal.press("never mind")
        terminal.until("never mind")
        # Python's readline misses a signal that comes while it handles a key, until the next one.
        terminal.until("Ctrl-D leaves.", pressing=CTRL_C)
        terminal.until(READY)
        terminal.press(CTRL_D)
        assert terminal.ended() == 0
    assert not emulator.requests


def test_an_error_ends_the_turn_and_not_the_conversation(quoth: Quoth, emulator: Emulator) -> None:
    with quoth.on_terminal("chat", "-p", "num_retries=0") as terminal:
        terminal.until(READY)
        emulator.faults("status=500", "ok")
        ask(terminal, "Hello", "quoth: poe answered 500")
        ask(terminal, "What is 2 + 3?", "2 + 3 = 5")
        terminal.line("/quit")
        assert terminal.ended() == 0
    assert [message["content"] for message in sent(emulator)] == ["What is 2 + 3?"]


def test_commands(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    notes = tmp_path / "notes.txt"
    notes.write_text("Ravens can count.")
    with quoth.on_terminal("chat") as terminal:
        terminal.until(READY)
        ask(terminal, "/help", "/save FILE")
        ask(terminal, "/model", "The model is poe/GPT-4.1-nano.")
        ask(terminal, "/model grok-4", "The model is poe/grok-4.")
        ask(terminal, "/system", "There is no system message.")
        ask(terminal, "/system Be kind.", "The system message is: Be kind.")
        ask(terminal, "/zork", "there is no command /zork")
        ask(terminal, f"/image {picture}", "goes with the next message")
        ask(terminal, "/image /nowhere", "cannot read /nowhere")
        ask(terminal, f"/file {notes}", "goes with the next message")
        ask(terminal, "What is 2 + 3?", "2 + 3 = 5")
        assert [part["type"] for part in sent(emulator)[1]["content"]] == ["text", "image_url", "file"]
        ask(terminal, "/clear", "Forgotten")
        ask(terminal, "/system -", "There is no system message.")
        ask(terminal, " /zork", "You wrote: /zork")
        assert sent(emulator) == [{"role": "user", "content": "/zork"}]
        terminal.line("/quit")
        assert terminal.ended() == 0


def test_a_message_of_several_lines(quoth: Quoth, emulator: Emulator) -> None:
    with quoth.on_terminal("chat") as terminal:
        terminal.until(READY)
        terminal.line('"""one')
        terminal.until(". ")
        terminal.line("two")
        terminal.until(". ")
        terminal.line('three"""')
        terminal.until("points")
        terminal.until(READY)
        terminal.line("/quit")
        assert terminal.ended() == 0
    assert sent(emulator) == [{"role": "user", "content": "one\ntwo\nthree"}]


def test_saving(quoth: Quoth, tmp_path: Path) -> None:
    other = tmp_path / "mine.txt"
    other.write_text("mine")
    with quoth.on_terminal("chat", "--system", "Be brief.") as terminal:
        terminal.until(READY)
        ask(terminal, "What is 2 + 3?", "2 + 3 = 5")
        ask(terminal, f"/save {tmp_path}/talk.json", "Saved to")
        ask(terminal, f"/save {tmp_path}/talk.md", "Saved to")
        ask(terminal, f"/save {tmp_path}/talk.md", "Saved to")
        ask(terminal, f"/save {other}", "exists already")
        ask(terminal, f"/save {tmp_path}/no/talk.md", "No such file or directory")
        ask(terminal, "/save", "needs the name of a file")
        terminal.line("/quit")
        assert terminal.ended() == 0
    assert other.read_text() == "mine"
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert saved["model"] == "poe/GPT-4.1-nano"
    assert [message["role"] for message in saved["messages"]] == ["system", "user", "assistant"]
    text = (tmp_path / "talk.md").read_text()
    assert text.startswith("# A conversation with poe/GPT-4.1-nano\n\n**System**\n\nBe brief.\n\n**You**\n\nWhat")


def test_what_a_model_writes_cannot_steer_the_terminal(quoth: Quoth) -> None:
    evil = "a\x1b]0;owned\x07b\x1b[2Jc"
    with quoth.on_terminal("chat", f'Repeat: "{evil}"', TERM="xterm") as terminal:
        assert terminal.ended() == 0
    assert "owned" in terminal.raw  # as text
    assert "\x1b]0;" not in terminal.raw
    assert "\x1b[2J" not in terminal.raw
    assert quoth("chat", f'Repeat: "{evil}"').out.endswith(f"{evil}\n")


@pytest.mark.parametrize(
    ("variables", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": None}, False),
    ],
)
def test_colour_only_where_it_is_welcome(quoth: Quoth, variables: dict[str, str | None], colour: bool) -> None:
    with quoth.on_terminal("chat", "What is 2 + 3?", **variables) as terminal:
        assert terminal.ended() == 0
    assert "2 + 3 = 5" in terminal.text
    assert ("\x1b[2m" in terminal.raw) is colour
    if not colour:
        assert "\x1b" not in terminal.raw


def test_json_needs_a_prompt(quoth: Quoth) -> None:
    with quoth.on_terminal("chat", "--json") as terminal:
        assert terminal.ended() == 2
    assert "--json needs a prompt" in terminal.text
