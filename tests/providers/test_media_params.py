"""OpenAI's parameters for media, held against what every media bot of the catalogue declares."""

from __future__ import annotations

from typing import Any

import pytest

from quoth.call import Call
from quoth.providers.catalogue import ModelFacts, ParameterFacts, shipped
from quoth.providers.media_params import fit
from quoth.providers.params import prepare
from quoth.providers.resolve import resolve
from quoth.providers.rows import Registry
from quoth.types import Warning

BOTS = [facts for facts in shipped() if facts.makes_media]
ALL = {
    "size": "1024x1536",
    "seconds": 7,
    "quality": "high",
    "language": "en",
    "speed": 1.1,
}
# What OpenAI's names may become.
TARGETS = (
    "size aspect aspect_ratio width height custom_width custom_height output_width output_height image_size resolution "
    "duration seconds music_length_ms quality t2v_quality hd voice voice_id voice_1 language language_boost speed "
    "format output_format use_custom_size"
).split()


def fitted(model: str, **given: Any) -> tuple[dict[str, Any], list[str]]:
    facts = shipped().get(model)
    assert facts is not None
    warnings: list[Warning] = []
    fit(given, facts, (), warnings)
    return given, [f"{warning.code} {warning.param}" for warning in warnings]


def is_declared(value: Any, parameter: ParameterFacts) -> bool:
    if parameter.enum is not None:
        return value in parameter.enum
    if parameter.type == "number":
        low, high = parameter.minimum, parameter.maximum
        return (low is None or value >= low) and (high is None or value <= high)
    return isinstance(value, bool if parameter.type == "boolean" else str)


def test_there_are_media_bots() -> None:
    assert len(BOTS) > 80


@pytest.mark.parametrize("facts", BOTS, ids=lambda facts: facts.id)
def test_every_bot_gets_what_it_declares(facts: ModelFacts) -> None:
    given: dict[str, Any] = dict(ALL)
    warnings: list[Warning] = []
    fit(given, facts, (), warnings)
    declared = {parameter.name: parameter for parameter in facts.parameters or ()}
    for name in given.keys() & declared.keys() & set(TARGETS):
        assert is_declared(given[name], declared[name]), (name, given[name])
    # What is not declared is there as it was given, and nothing is lost.
    for name, value in given.items():
        assert name in declared or value == ALL[name]
    assert len(given) >= len(ALL)
    if {"aspect", "aspect_ratio"} & declared.keys() or any(
        value.count("x") == 1 and value[0].isdigit()
        for name in ("size", "resolution")
        if name in declared
        for value in declared[name].enum or ()
    ):
        assert "size" not in given or "size" in declared
    if "duration" in declared:
        assert "seconds" not in given
    assert all(warning.message.startswith(f"{warning.param} ") for warning in warnings)


@pytest.mark.parametrize(
    ("model", "given", "sent", "warned"),
    [
        ("gpt-image-1", {"size": "1024x1536"}, {"aspect": "2:3"}, ["mapped size"]),
        ("gpt-image-1", {"size": "auto"}, {}, ["mapped size"]),
        ("gpt-image-1", {"quality": "hd"}, {"quality": "high"}, []),
        ("gpt-image-1", {"quality": "low"}, {"quality": "low"}, []),
        ("dall-e-3", {"size": "1792x1024"}, {"aspect": "7:4"}, ["mapped size"]),
        ("imagen-4", {"size": "1024x1536"}, {"aspect_ratio": "3:4"}, ["nearest size"]),
        ("nano-banana-2", {"size": "1024x1024"}, {"aspect_ratio": "1:1", "image_size": "1K"}, []),
        ("nano-banana-2", {"size": "4K"}, {"image_size": "4K"}, []),
        ("nano-banana-2", {"size": "3840x2160"}, {"aspect_ratio": "16:9", "image_size": "2K"}, ["nearest size"]),
        ("flux-dev-di", {"size": "512x768"}, {"width": 512, "height": 768}, []),
        ("flux-dev-di", {"size": "4096x768"}, {"width": 1920, "height": 768}, ["nearest size"]),
        (
            "qwen-image-2.0",
            {"size": "640x480"},
            {"use_custom_size": True, "custom_width": "640", "custom_height": "480"},
            [],
        ),
        ("moss-video-and-audio", {"size": "portrait"}, {"aspect_ratio": "portrait"}, ["nearest size"]),
        ("sora-2", {"size": "720x1280", "seconds": 8}, {"size": "720x1280", "duration": "8"}, []),
        ("sora-2", {"size": "1024x1792"}, {"size": "720x1280"}, ["nearest size"]),
        ("sora-2", {"seconds": "5"}, {"duration": "4"}, ["nearest seconds"]),
        ("ray2", {"seconds": 9}, {"duration": "9s"}, []),
        ("veo-3", {"size": "1920x1080"}, {"aspect_ratio": "16:9", "resolution": "1080p"}, []),
        ("veo-3", {"size": "1080p"}, {"resolution": "1080p"}, []),
        ("elevenlabs-music", {"seconds": 20}, {"music_length_ms": 20000}, []),
        ("elevenlabs-music", {"seconds": 2}, {"music_length_ms": 10000}, ["nearest seconds"]),
        ("orpheus-tts", {"voice": "Tara"}, {"voice": "tara"}, []),
        ("orpheus-tts", {"voice": "alloy"}, {"voice": "tara"}, ["nearest voice"]),
        ("orpheus-tts", {"voice": "zorro"}, {"voice": "zorro"}, []),
        ("elevenlabs-v3", {"voice": "Nova"}, {"voice_1": "Hope"}, ["nearest voice"]),
        ("minimax-speech-2.8", {"voice": "onyx"}, {"voice_id": "Chinese (Mandarin)_Lyrical_Voice"}, ["nearest voice"]),
        ("sonic-3.0", {"voice": "brooke"}, {"voice": "brooke - big sister"}, ["nearest voice"]),
        ("elevenlabs-v3", {"voice": "hope"}, {"voice_1": "Hope"}, []),
        ("gemini-2.5-pro-tts", {"language": "en"}, {"language": "en-US"}, []),
        ("gemini-2.5-pro-tts", {"language": "German"}, {"language": "de-DE"}, []),
        ("sonic-3.0", {"language": "en-US"}, {"language": "en"}, ["nearest language"]),
        ("minimax-speech-2.8", {"language": "fr"}, {"language_boost": "French"}, []),
        ("minimax-speech-2.8", {"speed": 1.3, "response_format": "wav"}, {"speed": "1.25", "format": "wav"},
         ["nearest speed"]),
        ("hailuo-speech-02", {"speed": 4.0}, {"speed": 2}, ["nearest speed"]),
        ("hailuo-speech-02", {"quality": "hd"}, {"hd": True}, []),
        ("gemini-2.5-pro-tts", {"response_format": "mp3"}, {"output_format": "MP3"}, []),
        ("imagen-4", {"response_format": "url"}, {}, []),
        ("imagen-4", {"response_format": "b64_json"}, {"response_format": "b64_json"}, []),
        ("gpt-image-2", {"size": "1024x1024"}, {"size": "1024x1024"}, ["sent_as_given size"]),
        ("imagen-4", {"size": "huge"}, {"size": "huge"}, []),
        ("imagen-4", {"size": "0x0"}, {"size": "0x0"}, []),
    ],
)  # fmt: skip
def test_nearest_fit(model: str, given: dict[str, Any], sent: dict[str, Any], warned: list[str]) -> None:
    assert fitted(model, **given) == (sent, warned)


def test_a_parameter_given_in_its_own_name_is_not_touched() -> None:
    assert fitted("gpt-image-1", size="1024x1024", aspect="3:2") == ({"size": "1024x1024", "aspect": "3:2"}, [])


def body(model: str, **params: Any) -> tuple[dict[str, Any], list[str]]:
    target = resolve(f"poe/{model}", Registry(), {}, api_key="key")
    allowed = params.pop("allowed_openai_params", ())
    call = Call(target.model, [{"role": "user", "content": "A"}], params, allowed_openai_params=allowed)
    sent, warnings = prepare(call, target)
    return {name: value for name, value in sent.items() if name not in ("model", "messages")}, [
        f"{warning.code} {warning.param}" for warning in warnings
    ]


def test_in_a_call() -> None:
    assert body("Imagen-4", size="1024x1536") == ({"aspect_ratio": "3:4"}, ["nearest size"])
    assert body("Imagen-4", style="vivid") == ({"style": "vivid"}, ["undeclared_param style"])
    # A text model's own `size` is nobody's business here.
    assert body("GPT-4.1-nano", size="1024x1536")[0] == {"size": "1024x1536"}


def test_what_is_meant_literally_is_sent_literally() -> None:
    assert body("Imagen-4", extra_body={"size": "1024x1536"})[0] == {"size": "1024x1536"}
    assert body("Imagen-4", size="1024x1536", allowed_openai_params=("size",))[0] == {"size": "1024x1536"}
    sent, _ = body("Imagen-4", size="1024x1536", extra_body={"aspect_ratio": "1:1"})
    assert sent == {"size": "1024x1536", "aspect_ratio": "1:1"}
