"""A wish as each target takes it: the way, and what becomes of each of OpenAI's parameters; nothing disappears."""

from __future__ import annotations

from typing import Any

import pytest

from quoth.call import Call, Target
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.providers.catalogue import Catalogue, ModelFacts, ParameterFacts, known
from quoth.providers.resolve import resolve
from quoth.providers.rows import Registry
from quoth.providers.wishes import CHAT, File, Kind, Wish, needs_bytes, told, way_of
from quoth.types import Warning

PNG = File("raven.png", "image/png", b"\x89PNG\r\n\x1a\n")
FACTS = list(known())
GIVEN: dict[Kind, dict[str, list[Any]]] = {
    "image": {
        "size": ["1024x1024", "1536x1024", "auto", "16:9"],
        "quality": ["hd", "low", "auto"],
        "style": ["vivid"],
        "background": ["transparent", "auto"],
        "output_format": ["png"],
    },
    "speech": {"voice": ["alloy", "Zoltan the Great"], "speed": [1.0, 1.5], "instructions": ["Whisper."]},
    "video": {"size": ["1280x720", "720x1280"], "seconds": ["5", 8]},
    "transcription": {"language": ["de", "German"], "timestamp_granularities": [["word"]]},
}
MAKES = {"image": "image", "speech": "audio", "video": "video"}


def target(model: str) -> Target:
    return resolve(f"poe/{model}", Registry(), {}, api_key="k", catalogue=lambda url: known())


def asked(
    model: str, kind: Kind, params: dict[str, Any], *files: File, native: bool = True, **more: Any
) -> tuple[dict[str, Any], list[Warning]]:
    """What the model is told beside the prompt, and the warnings."""
    warnings: list[Warning] = []
    one = target(model)
    way = way_of(one, kind, native=native)
    said = told(
        Wish(kind, "" if kind == "transcription" else "A raven", files),
        Call(model, [], params, **more),
        one,
        way,
        warnings,
    )
    return dict(said.params if isinstance(said, Call) else said[2]), warnings


def cases() -> list[tuple[ModelFacts, Kind]]:
    found: list[tuple[ModelFacts, Kind]] = []
    for facts in FACTS:
        for kind, makes in MAKES.items():
            if makes in facts.output_modalities and facts.makes_media:
                found.append((facts, kind))  # type: ignore[arg-type]
        if any(one in facts.id for one in ("whisper", "deepgram", "gemini-2.5-flash")):
            found.append((facts, "transcription"))
    return found


@pytest.mark.parametrize("native", [True, False])
def test_no_parameter_of_openais_disappears(native: bool) -> None:
    checked = 0
    for facts, kind in cases():
        for name, values in GIVEN[kind].items():
            for value in values:
                refused = None
                try:
                    sent, warnings = asked(facts.id, kind, {name: value}, native=native)
                except UnsupportedParamsError as error:
                    refused = error
                if refused is not None:
                    assert refused.param == name
                    assert "it takes" in refused.message
                    assert all(parameter.name in refused.message for parameter in facts.parameters or ())
                    continue
                new = sent.keys() - {"model", "prompt", "input"}
                silent = value in ("auto", 1.0) or (kind == "transcription" and name == "language")
                assert new or warnings or silent, (facts.id, name, value)
                checked += 1
    assert checked > 200


def test_ways() -> None:
    asked_of: dict[str, Kind] = {
        "GPT-Image-1": "image",
        "GPT-Image-1.5": "edit",
        "Imagen-4": "image",
        "ElevenLabs-v3": "speech",
        "Sora-2": "video",
        "Kling-2.6-Pro": "video",
        "Whisper-V3-Large-T": "transcription",
        "somebodys-bot": "image",
    }
    ways = {model: way_of(target(model), kind).path for model, kind in asked_of.items()}
    chat = "/chat/completions"
    assert list(ways.values()) == ["/images", "/images", chat, "/audio", "/videos", chat, chat, chat]
    assert way_of(target("Sora-2"), "video", native=False) is CHAT
    other = resolve("openai/sora-2", Registry(), {}, api_key="k")
    assert way_of(other, "video").path == "/videos"
    assert needs_bytes(way_of(other, "edit"), "edit")
    assert not needs_bytes(CHAT, "edit")


@pytest.mark.parametrize(
    ("model", "params", "sent"),
    [
        ("Sora-2", {"seconds": "7", "size": "1920x1080"}, {"seconds": 8, "size": "1280x720"}),
        ("Veo-3.1", {"aspect_ratio": "9:16", "resolution": "1080p"}, {"size": "1080x1920"}),
        ("Veo-3.1", {"aspect_ratio": "9:16"}, {"size": "720x1280"}),
        ("Veo-2", {"size": "1920x1080", "duration": "6"}, {"size": "1280x720", "seconds": 6}),
        ("Veo-3", {"silent": True, "no": "rain"}, {"silent": True, "no": "rain"}),
    ],
)
def test_films_in_the_endpoints_own_words(model: str, params: dict[str, Any], sent: dict[str, Any]) -> None:
    found, _ = asked(model, "video", params)
    assert {name: value for name, value in found.items() if name not in ("model", "prompt")} == sent


def test_a_film_begins_from_one_picture() -> None:
    with pytest.raises(BadRequestError, match="from one picture"):
        asked("Sora-2", "video", {}, PNG, PNG)
    with pytest.raises(BadRequestError, match="has to be sent as a file"):
        asked("Sora-2", "video", {}, File("r.png", "image/png", url="https://example.org/r.png"))


def test_what_is_meant_to_be_sent_is_sent() -> None:
    found, _ = asked("Imagen-4", "image", {"quality": "high"}, allowed_openai_params=("quality",))
    assert found["quality"] == "high"
    found, _ = asked("Imagen-4", "image", {"extra_body": {"x_new": 1}})
    assert found["x_new"] == 1
    found, warnings = asked("Imagen-4", "image", {"quality": "high"}, drop_params=True)
    assert "quality" not in found
    assert [warning.code for warning in warnings] == ["dropped"]


def test_a_bot_of_which_nothing_is_known_gets_what_was_given() -> None:
    found, _ = asked("somebodys-bot", "image", {"size": "1x1", "quality": "best"})
    assert found == {"size": "1x1", "quality": "best"}


def test_declared_formats_are_asked_for() -> None:
    facts = ModelFacts(
        "speaker",
        output_modalities=("audio",),
        parameters=(ParameterFacts("output_format", enum=("mp3_44100", "wav")),),
    )
    catalogue = Catalogue([facts], known().sources)
    there = resolve("poe/speaker", Registry(), {}, api_key="k", catalogue=lambda url: catalogue)
    said = told(Wish("speech", "Hello"), Call("speaker", [], {"response_format": "mp3"}), there, CHAT, [])
    assert isinstance(said, Call)
    assert said.params == {"output_format": "mp3_44100"}
