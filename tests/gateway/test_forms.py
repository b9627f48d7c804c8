"""Forms: what is written is what is read, wherever the bytes are split; and what is kept of them in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoth.errors import BadRequestError
from quoth.gateway.forms import received_form
from quoth.gateway.incoming import Left, RequestTooLarge
from quoth.wire.forms import FilePart, form

NAMES = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\\%;=[]\0'), min_size=1, max_size=20)
FILES = st.lists(st.tuples(NAMES, st.binary(max_size=300) | st.just(b"--quoth-form-0\r\n")), max_size=4)


def read(content_type: str, pieces: list[bytes], limit: int = 1 << 20, *, left: bool = False) -> Any:
    async def all_of_it() -> Any:
        waiting = list(pieces)

        async def receive() -> dict[str, Any]:
            if not waiting:
                return {"type": "http.disconnect"}
            piece = waiting.pop(0)
            return {"type": "http.request", "body": piece, "more_body": left or bool(waiting)}

        return await received_form(receive, {b"content-type": content_type.encode()}, limit)

    return asyncio.run(all_of_it())


@given(st.dictionaries(NAMES, st.text(st.characters(codec="utf-8")), max_size=4), FILES, st.integers(1, 7))
def test_what_is_written_is_what_is_read(fields: dict[str, str], files: list[tuple[str, bytes]], size: int) -> None:
    parts = [FilePart(name, data, f"{name}.png", "image/png") for name, data in files]
    content_type, body = form(fields, parts)
    pieces = [body[at : at + size] for at in range(0, len(body), size)] if len(body) < 2_000 else [body]
    with read(content_type, pieces) as found:
        assert {name: values[0] for name, values in found.fields.items()} == fields
        got = [upload.file.read() for uploads in found.files.values() for upload in uploads if upload.file.seek(0) == 0]
        assert sorted(got) == sorted(data for _, data in files)


def test_values_are_what_json_would_have() -> None:
    content_type, body = form({"n": 2, "stream": False, "tags": ["a", "b"], "size": "10", "x": "2"}, ())
    with read(content_type, [body]) as found:
        assert {name: msgspec.json.decode(raw) for name, raw in found.entries().items()} == {
            "n": 2,
            "stream": False,
            "tags": ["a", "b"],
            "size": "10",
            "x": "2",
        }


def test_large_files_lie_on_the_disk() -> None:
    content_type, body = form({}, [FilePart("image", bytes(5 << 20), "a.png", "image/png")])
    with read(content_type, [body[at : at + 65536] for at in range(0, len(body), 65536)], 10 << 20) as found:
        [upload] = found.files["image"]
        assert upload.file._rolled
        kept = upload.file
    assert kept.closed


def test_what_is_too_much() -> None:
    content_type, body = form({}, [FilePart("image", bytes(5000), "a.png", "image/png")])
    with pytest.raises(RequestTooLarge):
        read(content_type, [body], 1000)
    with pytest.raises(Left):
        read(content_type, [body[:100]], left=True)
    content_type, body = form({f"f{number}": "x" for number in range(200)}, ())
    with pytest.raises(BadRequestError, match="more than 128 parts"):
        read(content_type, [body])
    content_type, body = form({"x": "x" * (3 << 20)}, ())
    with pytest.raises(BadRequestError, match="fields are too long"):
        read(content_type, [body], 10 << 20)
    head = b'--b\r\ncontent-disposition: form-data; name="' + b"n" * 20_000
    with pytest.raises(BadRequestError, match=r"cannot be read|too long"):
        read("multipart/form-data; boundary=b", [head])


def test_what_is_no_form() -> None:
    with pytest.raises(BadRequestError, match="cannot be read"):
        read(f"multipart/form-data; boundary={'b' * 5000}", [b""])
    latin = b'--b\r\ncontent-disposition: form-data; name="prompt"\r\n\r\ncaf\xe9\r\n--b--\r\n'
    with pytest.raises(BadRequestError, match=r"prompt is not UTF-8 \(byte 3\)") as caught:
        read("multipart/form-data; boundary=b", [latin])
    assert caught.value.param == "prompt"


def test_a_number_that_is_none_stays_a_text() -> None:
    deep = "[" * 100_000
    content_type, body = form({"n": deep, "timeout": "1e999"}, ())
    with read(content_type, [body]) as found:
        assert found.plain() == {"n": deep, "timeout": "1e999"}
