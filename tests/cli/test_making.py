"""`quoth image`, `quoth speak`, `quoth video`, `quoth transcribe`."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from quoth.cli.making import DEFAULTS
from quoth.emulator import Emulator
from quoth.providers.catalogue import shipped
from tests.cli.running import Quoth


@pytest.mark.parametrize(
    ("command", "start", "ending"), [("image", b"\x89PNG", ".png"), ("speak", b"RIFF", ".wav"), ("video", b"", ".mp4")]
)
def test_a_file_is_saved(quoth: Quoth, tmp_path: Path, command: str, start: bytes, ending: str) -> None:
    target = tmp_path / "raven"
    done = quoth(command, "A raven", "-o", str(target))
    assert done.code == 0
    assert done.out == f"{target}{ending}\n"
    assert Path(done.out.strip()).read_bytes().startswith(start)
    assert ("price unknown" in done.err) == (command == "video")


def test_nothing_is_written_over_nor_paid_for(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    target = tmp_path / "raven.png"
    target.write_text("mine")
    done = quoth("image", "A raven", "-o", str(target))
    assert (done.code, target.read_text()) == (2, "mine")
    assert "--force" in done.err
    assert quoth("image", "A raven", "-o", str(tmp_path / "none" / "raven.png")).code == 2
    assert not emulator.requests
    assert quoth("image", "A raven", "-o", str(target), "--force").code == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_size_and_seconds_are_the_bots_own(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    done = quoth("video", "A raven", "--size", "720x1280", "--seconds", "5", "-m", "Sora-2", "-o", str(tmp_path))
    assert done.code == 0
    body = emulator.requests[0].body
    assert isinstance(body, dict)
    assert (body["size"], body["seconds"]) == ("720x1280", 4)
    assert "nearest that sora-2 declares" in done.err


def test_the_models_own_endpoint_is_used_where_there_is_one(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    drawn = quoth("image", "A raven", "-m", "GPT-Image-1", "-o", str(tmp_path / "raven.png"))
    assert (drawn.code, emulator.requests[-1].path) == (0, "/v1/images")
    anew = quoth("image", "Blue", "-m", "GPT-Image-1", "--file", str(tmp_path / "raven.png"), "-o", str(tmp_path))
    assert anew.code == 0
    assert isinstance(body := emulator.requests[-1].body, dict)
    assert body["image"].startswith("data:image/png;base64,")
    told = quoth("speak", "Nevermore", "-m", "ElevenLabs-v3", "--voice", "Amy", "-o", str(tmp_path), "--json").json
    assert (told["wire"], told["files"][0]["kind"], emulator.requests[-1].path) == ("audio", "audio", "/v1/audio")
    told = quoth("video", "It flies", "-m", "Veo-3.1", "-o", str(tmp_path / "raven"), "--json").json
    assert told["wire"] == "videos"
    assert Path(told["files"][0]["path"]).name == "raven.mp4"


def test_a_film_that_fails(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults("job=failed")
    done = quoth("video", "A raven", "-m", "Sora-2", "-o", str(tmp_path))
    assert done.code
    assert "made no video: failed: The video could not be made" in done.err


def test_a_terminal_shows_how_long_one_has_waited(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults("latency=30")
    with quoth.on_terminal("video", "A raven", "-o", str(tmp_path / "raven.mp4"), TERM="xterm") as terminal:
        terminal.until("poe/Veo-3.1-Lite · 1 s")
        terminal.until("poe/Veo-3.1-Lite · 2 s")
        terminal.press("\x03")
        assert terminal.ended() == 130


def test_json(quoth: Quoth, tmp_path: Path) -> None:
    told = quoth("image", "A raven", "-o", str(tmp_path), "--json").json
    [file] = told["files"]
    assert file["kind"] == "image"
    assert Path(file["path"]).exists()
    assert told["cost"]["source"] != "unknown"


def test_what_was_spoken_can_be_written_down(quoth: Quoth, tmp_path: Path) -> None:
    said = quoth("speak", "Ravens can count to seven.", "-o", str(tmp_path / "said.wav"))
    with wave.open(said.out.strip()) as sound:
        assert sound.getnframes()
    done = quoth("transcribe", str(tmp_path / "said.wav"), "-m", "Whisper-V3-Large-T")
    assert (done.code, done.out.strip()) == (0, "Ravens can count to seven.")
    assert "Ravens can count to seven." in quoth("transcribe", str(tmp_path / "said.wav"), "--json").json["text"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("image",), "there is no text"),
        (("transcribe", "/none/there.wav"), "No such file"),
        (("image", "Who are you?", "-m", "GPT-4.1-nano"), "answered without any image"),
    ],
)
def test_failures(quoth: Quoth, words: tuple[str, ...], said: str) -> None:
    done = quoth(*words)
    assert done.code
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_the_models_are_in_the_catalogue() -> None:
    kinds = {"image": "image", "audio": "audio", "video": "video", "transcript": "text"}
    for kind, model in DEFAULTS.items():
        facts = shipped().get(model.removeprefix("poe/"))
        assert facts is not None
        assert facts.output_modalities == (kinds[kind],)
