"""Files along with a message: what they become, and what a model is told of them."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from quoth.sdk.attachments import MAX_BYTES

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WAV = b"RIFF$\0\0\0WAVEfmt " + bytes(24)


@pytest.mark.parametrize(
    ("data", "name", "kind", "filename"),
    [
        (PNG, "a.png", "image/png", None),
        (PNG, "wrong.pdf", "image/png", None),
        (b"\xff\xd8\xff\xe0", "a.jpg", "image/jpeg", None),
        (b"GIF89a....", "a.gif", "image/gif", None),
        (b"RIFF....WEBPVP8 ", "a", "image/webp", None),
        (b"%PDF-1.7\n", "paper.pdf", "application/pdf", "paper.pdf"),
        (WAV, "said.wav", "audio/wav", "said.wav"),
        (b"ID3\x04", "said.mp3", "audio/mpeg", "said.mp3"),
        (b"\xff\xfb\x90\x00", "said", "audio/mpeg", "said"),
        (b"\xff\xf1\x50\x80", "said", "audio/aac", "said"),
        (b"\0\0\0\x18ftypmp42", "film.mp4", "video/mp4", "film.mp4"),
        (b"a,b\n1,2\n", "t.csv", "text/csv", "t.csv"),
        (b"# Title", "README.md", "text/markdown", "README.md"),
        ("Grüße".encode(), "notes", "text/plain", "notes"),
        (b"print()", "code.py", "text/plain", "code.py"),
        (b"<svg/>", "a.svg", "image/svg+xml", "a.svg"),
    ],
)
def test_files(tmp_path: Path, data: bytes, name: str, kind: str, filename: str | None) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    expected: dict[str, Any] = {"type": "image_url", "image_url": {"url": url}}
    if filename is not None:
        expected = {"type": "file", "file": {"filename": filename, "file_data": url}}
    assert quoth.attach(path) == quoth.attach(str(path)) == expected
    assert quoth.attach(data, name=name) == expected


def test_bytes_without_a_name_get_one() -> None:
    assert quoth.attach(b"%PDF-1.7")["file"]["filename"] == "file.pdf"
    assert quoth.attach(b"\x01\x02", media_type="audio/aac")["file"]["file_data"].startswith("data:audio/aac;")


def test_addresses_of_pictures_are_passed_on() -> None:
    for url in ("https://example.org/a.png", "https://example.org/picture?id=7"):
        assert quoth.attach(url) == {"type": "image_url", "image_url": {"url": url}}
    assert quoth.attach("data:image/png;base64,AA")["image_url"]["url"] == "data:image/png;base64,AA"
    assert quoth.attach("data:application/pdf;base64,AA")["file"]["filename"] == "file.pdf"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "is empty"),
        (b"\x01\x02\xff", "cannot be told from its bytes"),
        (b"\0text", "cannot be told"),
        ("Ravens".encode("utf-16"), "cannot be told"),
        (bytes(MAX_BYTES + 1), "larger than 47 MiB"),
        ("https://example.org/paper.pdf", "only pictures can be sent as an address"),
        ("http://[broken", "is no address"),
        (7, "not of type int"),
    ],
)
def test_what_cannot_be_attached(source: Any, said: str) -> None:
    with pytest.raises(quoth.BadRequestError, match=said):
        quoth.attach(source)


@pytest.mark.parametrize("attach", [quoth.attach, lambda *a, **k: asyncio.run(quoth.aattach(*a, **k))])
def test_what_is_at_an_address_can_be_fetched(
    attach: Any, complete: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = complete("poe/Imagen-4", [{"role": "user", "content": "A fox"}]).choices[0].message.media[0]
    assert attach(drawn.url)["image_url"]["url"] == drawn.url
    assert attach(drawn.url, fetch=True)["image_url"]["url"].startswith("data:image/png;base64,")
    listed = attach(f"{emulator.base_url}/models", fetch=True, media_type="application/json")["file"]
    assert listed["filename"] == "models"
    assert b"claude-opus-4.6" in base64.b64decode(listed["file_data"].removeprefix("data:application/json;base64,"))
    with pytest.raises(quoth.NotFoundError, match="answered 404"):
        attach(f"{emulator.base_url}/nothing.pdf", fetch=True)
    with pytest.raises(quoth.BadRequestError):
        attach("http://[broken", fetch=True)
    monkeypatch.setattr("quoth.sdk.attachments.MAX_BYTES", 1000)
    with pytest.raises(quoth.BadRequestError, match="the most that can be sent"):
        attach(drawn.url, fetch=True)
    assert attach(PNG, fetch=True) == quoth.attach(PNG), "what is no address is at hand"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        quoth.attach(tmp_path / "none.png")


def test_paths_and_bytes_in_messages_are_attached(complete: Any, emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Ravens can count to seven.")
    messages = [{"role": "user", "content": ["What is this?", path, PNG]}]
    complete(messages=messages)
    body = emulator.requests[-1].body
    assert isinstance(body, dict)
    content = body["messages"][0]["content"]
    assert [part["type"] for part in content if isinstance(part, dict)][-2:] == ["file", "image_url"]
    assert messages[0]["content"] == ["What is this?", path, PNG]


def test_a_model_gets_what_was_attached(complete: Any, emulator: Emulator) -> None:
    content = [{"type": "text", "text": "What is this?"}, quoth.attach(PNG)]
    answer = complete(messages=[{"role": "user", "content": content}])
    assert "image/png of 1x1" in answer.choices[0].message.content
