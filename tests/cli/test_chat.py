"""`quoth chat` with a prompt, in pipes: what goes out, what comes back, and how it fails."""

from __future__ import annotations

import base64
import signal
from pathlib import Path
from typing import Any

import pytest

from quoth import Client
from quoth.cli.names import DEFAULT_MODEL
from quoth.emulator import Emulator
from quoth.providers.catalogue import shipped
from tests.cli.running import LONG, Quoth

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


def sent(emulator: Emulator) -> dict[str, Any]:
    body = emulator.requests[-1].body
    assert isinstance(body, dict)
    return body


def test_answer_on_stdout_and_facts_on_stderr(quoth: Quoth, emulator: Emulator) -> None:
    done = quoth("chat", "What is 2 + 3?")
    assert (done.code, done.out) == (0, "[emulated GPT-4.1-nano] 2 + 3 = 5\n")
    (line,) = done.err.splitlines()
    assert line.startswith("poe/GPT-4.1-nano · ")
    assert " tokens · about 2 points ($0.000061) · " in line
    assert sent(emulator)["stream"] is True
    assert "\x1b" not in done.out + done.err


def test_default_model_is_cheap_and_able() -> None:
    facts = shipped().get(DEFAULT_MODEL.removeprefix("poe/"))
    assert facts is not None
    assert facts.price is not None
    assert float(facts.price["prompt"] or 1) < 1e-6
    assert "tools" in (facts.supported_features or ())
    assert "image" in facts.input_modalities
    assert facts.reasoning is None
    assert facts.status is None


@pytest.mark.parametrize(
    ("words", "variable", "model"),
    [
        ((), None, "GPT-4.1-nano"),
        ((), "claude-haiku-4.5", "claude-haiku-4.5"),
        ((), " ", "GPT-4.1-nano"),
        (("-m", "Grok-4"), "claude-haiku-4.5", "Grok-4"),
        (("--model", "poe/Grok-4"), None, "Grok-4"),
        (("-m", "gpt-5.2"), None, "gpt-5.2"),
    ],
)
def test_which_model(
    quoth: Quoth, emulator: Emulator, words: tuple[str, ...], variable: str | None, model: str
) -> None:
    assert quoth("chat", "Hello", *words, QUOTH_MODEL=variable).code == 0
    assert sent(emulator)["model"] == model


def test_piped_text_is_the_prompt_or_its_context(quoth: Quoth, emulator: Emulator) -> None:
    assert quoth("chat", stdin="Grüße\n".encode()).code == 0
    assert sent(emulator)["input"] == [{"role": "user", "content": "Grüße\n"}]
    assert quoth("chat", "Summarise", "--system", "Be brief.", stdin=b"some notes").code == 0
    assert sent(emulator)["input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Summarise\n\nsome notes"},
    ]


@pytest.mark.parametrize("words", [(), ("",), ("  ",)])
def test_no_prompt_at_all(quoth: Quoth, emulator: Emulator, words: tuple[str, ...]) -> None:
    done = quoth("chat", *words, stdin=b" \n")
    assert (done.code, done.out) == (2, "")
    assert "there is no prompt" in done.err
    assert not emulator.requests


def test_bytes_that_are_no_text(quoth: Quoth) -> None:
    done = quoth("chat", "What is this?", stdin=b"\xff\xd8\xff")
    assert done.code == 2
    assert "not UTF-8" in done.err
    assert "--file" in done.err


def test_options_travel_as_they_should(quoth: Quoth, emulator: Emulator) -> None:
    words = "--temperature 0.5 --max-tokens 40 -p top_p=0.9 -p user=me -p seed=7".split()
    assert quoth("chat", "Hello", "--no-stream", *words, "-p", 'stop=["x", "y"]').code == 0
    body = sent(emulator)
    assert {name: body[name] for name in ("temperature", "max_tokens", "top_p", "user", "seed", "stop")} == {
        "temperature": 0.5,
        "max_tokens": 40,
        "top_p": 0.9,
        "user": "me",
        "seed": 7,
        "stop": ["x", "y"],
    }
    assert not body.get("stream")


def test_custom_parameter_of_a_bot(quoth: Quoth, emulator: Emulator) -> None:
    assert quoth("chat", "A raven", "-m", "nano-banana-2", "-p", "aspect_ratio=16:9").code == 0
    assert sent(emulator)["aspect_ratio"] == "16:9"


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("nonsense", "NAME=VALUE"),
        ("=1", "NAME=VALUE"),
        ("stream=true", "--no-stream"),
        ("model=x", "--model"),
        ("temperature=1", "given twice"),
    ],
)
def test_wrong_parameters(quoth: Quoth, emulator: Emulator, pair: str, said: str) -> None:
    done = quoth("chat", "Hello", "--temperature", "0", "-p", pair)
    assert done.code == 2
    assert said in done.err
    assert not emulator.requests


def test_pictures(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "no-suffix"
    file.write_bytes(PNG)
    address = "https://example.com/cat.jpg"
    assert quoth("chat", "What is on them?", "--image", str(file), "--image", address).code == 0
    assert sent(emulator)["input"][0]["content"] == [
        {"type": "input_text", "text": "What is on them?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"},
        {"type": "input_image", "image_url": address},
    ]


@pytest.mark.parametrize(("content", "said"), [(None, "cannot read "), (b"%PDF-1.7", "not a picture")])
def test_what_is_no_picture(quoth: Quoth, tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    done = quoth("chat", "Hello", "--image", str(file))
    assert done.code == 2
    assert said in done.err


def test_files(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    paper, notes = tmp_path / "paper.pdf", tmp_path / "notes.md"
    paper.write_bytes(b"%PDF-1.7\n")
    notes.write_text("# Ravens")
    picture = tmp_path / "picture"
    picture.write_bytes(PNG)
    words = ("-f", str(paper), "--file", str(notes), "-f", str(picture), "--image", str(picture))
    assert quoth("chat", "What is this?", *words).code == 0
    parts = sent(emulator)["input"][0]["content"]
    kinds = ["input_text", "input_image", "input_file", "input_file", "input_image"]
    assert [part["type"] for part in parts] == kinds
    assert [part["filename"] for part in parts[2:4]] == ["paper.pdf", "notes.md"]


def test_a_file_at_an_address_is_fetched(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    with Client(provider="poe", api_key="k", base_url=emulator.base_url) as client:
        drawn: Any = client.completion("Imagen-4-Fast", [{"role": "user", "content": "A fox"}])
    [picture] = drawn.choices[0].message.media
    done = quoth("chat", "What is this?", "--image", "https://example.org/paper.pdf")
    assert (done.code, "--file fetches and sends any file" in done.err) == (2, True)
    assert quoth("chat", "What is this?", "--file", picture.url).code == 0
    assert sent(emulator)["input"][0]["content"][1]["image_url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot read"), (b"", "is empty"), (b"\0\1", "cannot be told from its bytes")]
)
def test_what_is_no_file(quoth: Quoth, emulator: Emulator, tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    done = quoth("chat", "Hello", "--file", str(file))
    assert done.code == 2
    assert said in done.err
    assert not emulator.requests


@pytest.mark.parametrize(
    ("begin", "kind"), [(b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF\0\0\0\0WEBPVP8 ", "webp")]
)
def test_kind_of_a_picture_is_read_from_its_bytes(
    quoth: Quoth, emulator: Emulator, tmp_path: Path, begin: bytes, kind: str
) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(begin)
    assert quoth("chat", "Hello", "--image", str(file)).code == 0
    url = sent(emulator)["input"][0]["content"][1]["image_url"]
    assert url.startswith(f"data:image/{kind};base64,")


def test_json_is_one_document(quoth: Quoth, emulator: Emulator) -> None:
    done = quoth("chat", "What is 2 + 3?", "--json", "-p", "zork=1", "-p", "disable_quirks=[]", "-m", "gemma-4-31b")
    assert done.code == 0
    assert done.err == ""
    answer = done.json
    assert answer["choices"][0]["message"]["content"].endswith("2 + 3 = 5")
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["cost"]["usd"] in ("0", "0E-9", "0.000000000")
    assert answer["cost"]["source"] == "estimated"
    assert isinstance(answer["warnings"], list)
    assert answer["seconds"] >= 0


def test_json_says_unknown_cost_as_null(quoth: Quoth) -> None:
    done = quoth("chat", "Hello", "--json", "-m", "assistant")
    assert done.json["cost"] == {
        "usd": None,
        "points": None,
        "items": {},
        "source": "unknown",
        "prices_as_of": None,
    }


def test_unknown_cost_is_said(quoth: Quoth) -> None:
    assert " · cost unknown · " in quoth("chat", "Hello", "-m", "assistant").err


def test_unknown_tokens_are_said(quoth: Quoth, emulator: Emulator) -> None:
    emulator.faults("no-usage")
    assert " · tokens unknown · cost unknown · " in quoth("chat", "Hello").err


def test_warnings_go_to_stderr(quoth: Quoth) -> None:
    done = quoth("chat", "Hello", "-m", "gemini-2.5-flash", "--reasoning-effort", "low", "--quiet")
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert line.startswith("Warning: reasoning_effort 'low' was sent as thinking_budget 1024")


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_reasoning_only_when_asked_for(quoth: Quoth, stream: str) -> None:
    silent = quoth("chat", "Hello", "-m", "gemini-3-pro", stream)
    shown = quoth("chat", "Hello", "-m", "gemini-3-pro", stream, "--reasoning")
    assert silent.out == shown.out
    assert "emulated reasoning" not in silent.err
    assert "emulated reasoning" in shown.err


def test_a_cut_answer_says_so(quoth: Quoth) -> None:
    assert "cut off" in quoth("chat", "Count from 1 to 99", "--max-tokens", "5").err


def test_tool_calls_are_shown(quoth: Quoth) -> None:
    tool = '[{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]'
    done = quoth("chat", "Use add.", "-p", f"tools={tool}", "-p", "tool_choice=required")
    assert (done.code, done.out) == (0, "add({})\n")


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("status=500", 1, "500"),
        ("status=403; type=moderation_error", 1, "403"),
        ("status=401", 3, "401"),
        ("status=402", 4, "402"),
        ("status=429; retry-after=70", 4, "70"),
        ("fin=after:9; on=/v1/responses", 5, "broke"),
    ],
)
def test_exit_codes(quoth: Quoth, emulator: Emulator, fault: str, code: int, said: str) -> None:
    emulator.faults(fault)
    done = quoth("chat", "Count from 1 to 50", "-p", "num_retries=0")
    assert done.code == code, done.err
    assert done.err.startswith("quoth: ")
    assert said in done.err.lower()
    assert len(done.err.splitlines()) == 1
    assert "Traceback" not in done.err


def test_a_stream_that_breaks_keeps_what_came(quoth: Quoth, emulator: Emulator) -> None:
    emulator.faults("fin=after:20")
    done = quoth("chat", "Count from 1 to 50")
    assert done.code == 5
    assert done.out.startswith("[emulated GPT-4.1-nano] 1")
    assert done.out.endswith("\n")


def test_no_key(quoth: Quoth) -> None:
    done = quoth("chat", "Hello", POE_API_KEY=" ")
    assert (done.code, done.out) == (3, "")
    assert done.err == "quoth: no key for Poe: set POE_API_KEY (it is unset or blank)\n"


def test_a_deadline_is_told_without_the_sdks_classes(quoth: Quoth, emulator: Emulator) -> None:
    emulator.faults("latency=5")
    done = quoth("chat", "Hello", "--timeout", "0.2")
    assert (done.code, done.err) == (5, "quoth: poe was not done when the total time was up\n")


def test_nobody_there(quoth: Quoth) -> None:
    done = quoth("chat", "Hello", "-p", "num_retries=0", POE_API_BASE="http://127.0.0.1:1/v1")
    assert done.code == 5
    assert "could not be reached" in done.err


@pytest.mark.parametrize("model", ["zork/x", "zork"])
def test_a_name_of_nobodys(quoth: Quoth, emulator: Emulator, model: str) -> None:
    done = quoth("chat", "Hello", "-m", model)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert not emulator.requests


def test_an_error_as_json(quoth: Quoth) -> None:
    done = quoth("chat", "Hello", "--json", "-m", "poe/model-name")
    assert done.code == 1
    error = done.json["error"]
    assert (error["class"], error["status_code"], error["exit_code"]) == ("NotFoundError", 404, 1)
    assert done.err.startswith("quoth: ")


def test_debug_shows_the_traceback(quoth: Quoth) -> None:
    done = quoth("chat", "Hello", "--debug", "-m", "poe/model-name")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "NotFoundError" in done.err


def test_a_page_of_html_stays_one_line(quoth: Quoth, emulator: Emulator) -> None:
    emulator.faults("status=500; body=html")
    done = quoth("chat", "Hello", "-p", "num_retries=0")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1


def test_ctrl_c_ends_the_call(quoth: Quoth, emulator: Emulator) -> None:
    emulator.faults("stall=after:9")
    with quoth.start("chat", "Count from 1 to 50") as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"["
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONG)
        assert process.returncode == 130
        assert err == b""
        assert out.endswith(b"\n")


@pytest.mark.parametrize("words", [("chat", "Count from 1 to 50"), ("models",), ("models", "--json")])
def test_a_reader_that_leaves_is_no_drama(quoth: Quoth, words: tuple[str, ...]) -> None:
    with quoth.start(*words) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Error" not in process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(timeout=LONG) == 141


def test_letters_that_the_terminal_lacks(quoth: Quoth) -> None:
    done = quoth(
        *("chat", 'Repeat: "naïve"'),
        LANG="C",
        LC_ALL="C",
        PYTHONCOERCECLOCALE="0",
        PYTHONUTF8="0",
    )
    assert done.code == 0
    assert done.out == "[emulated GPT-4.1-nano] na?ve\n"
    assert " -> " in done.err


def test_several_answers(quoth: Quoth) -> None:
    done = quoth("chat", "What is 1 + 1?", "-p", "n=2")
    assert done.code == 0
    assert done.out.count("1 + 1 = 2") == 2
    assert "\n---\n" in done.out
