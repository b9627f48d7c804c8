"""The stand-in tokenizer."""

from __future__ import annotations

import time

import pytest

from quoth.emulator import tokens


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Say hello in exactly 3 words", 7),
        ("What is the weather in San Francisco? Use the getWeather tool.", 14),
        ("Hello there friend", 3),
        ("Hello, howdy, hi!", 6),
        ("How are you?", 4),
    ],
)
def test_counts_are_those_of_the_recordings(text: str, count: int) -> None:
    assert tokens.count(text) == count == len(tokens.pieces(text))


@pytest.mark.parametrize(
    "text",
    [
        "a\n\n b\t\tc  d ",
        "héllo wörld",
        "日本語のテキスト",
        "😀👍🏽",
        "x_y-z 1234567 $%&",
        "\r\n \x00\x85\u2028",
        "Ünïcode Straße",
        " ",
    ],
)
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(tokens.pieces(text)) == text


def test_english_has_about_four_letters_a_token() -> None:
    text = "The quick brown fox jumps over the lazy dog, while everybody watches and nobody says anything at all. " * 5
    assert 3.5 < len(text) / tokens.count(text) < 6


def test_a_prompt_of_many_megabytes_is_counted_at_once() -> None:
    started = time.monotonic()
    assert tokens.count("word " * 10_000_000) == 12_500_000
    assert time.monotonic() - started < 5
