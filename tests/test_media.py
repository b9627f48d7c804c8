"""Which addresses in an answer are media: the shapes that were recorded, and all that only looks like them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoth.media import Kind, Media, media_in
from quoth.types import Message

HOST = "https://pfst.cf2.poecdn.net"
HASH = "0123456789abcdef" * 4
IMAGE = f"{HOST}/base/image/{HASH}?w=1024&h=1024"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"![a raven.png]({IMAGE})\n\n{IMAGE}", [Media("image", IMAGE, "a raven.png")]),
        (f"![a raven_image_1]({IMAGE})\n\n\n{IMAGE}&pmaid=7", None),
        (f"{HOST}/base/video/{HASH}", [Media("video", f"{HOST}/base/video/{HASH}")]),
        (f"Here it is: {HOST}/base/audio/{HASH}.", [Media("audio", f"{HOST}/base/audio/{HASH}")]),
        ("![a [nested] name](https://example.org/x)", [Media("image", "https://example.org/x", "a [nested] name")]),
        ('![t](https://example.org/x.png "title")', [Media("image", "https://example.org/x.png", "t")]),
        ("![clip](https://example.org/clip.mp4)", [Media("video", "https://example.org/clip.mp4", "clip")]),
        ("![dot](data:image/png;base64,iVBORw0KGgo=)", [Media("image", "data:image/png;base64,iVBORw0KGgo=", "dot")]),
    ],
)
def test_recorded_shapes(content: str, expected: list[Media] | None) -> None:
    found = media_in(content)
    if expected is None:
        assert [media.kind for media in found] == ["image", "image"]
    else:
        assert found == expected


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "no address",
        "see https://example.org/raven.png",
        "[a link](https://example.org/raven.png)",
        f"https://example.org/base/image/{HASH}",
        f"https://poecdn.net.example.org/base/image/{HASH}",
        f"{HOST}/base/image/tooshort",
        "`![x](https://example.org/x.png)`",
        "```\n![x](https://example.org/x.png)\n```",
        "![x](javascript:alert(1))",
        "![x](file:///etc/passwd)",
        "http://[broken",
    ],
)
def test_what_is_no_medium(content: str | None) -> None:
    assert media_in(content) == []


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_what_a_media_model_attaches(kind: Kind) -> None:
    content = f"done:\n\nhttps://example.org/a\nhttps://example.org/b \nhttps://example.org/a\nor http://a.test/base/{kind}/{HASH}"
    assert media_in(content, [kind]) == [
        Media(kind, "https://example.org/a"),
        Media(kind, "https://example.org/b"),
        Media(kind, f"http://a.test/base/{kind}/{HASH}"),
    ]
    assert media_in("https://example.org/a", [kind, "text"]) == []
    assert media_in("I cannot draw that: see https://example.org/rules.", [kind]) == []
    assert media_in("Try [this](https://example.org/raven)", [kind]) == []


@given(st.text(alphabet="![]()<>`~\n\"' htps:/dataimge;base.poecdn"))
def test_any_text_is_read(content: str) -> None:
    urls = [media.url for media in media_in(content, ["image"])]
    assert len(urls) == len(set(urls))
    assert all(url in content for url in urls)


def test_long_texts_take_no_longer_than_they_are_long() -> None:
    for content in ("![" * 50_000 + "](http://", "![a](http://" * 20_000, "`" * 100_000 + "http://"):
        media_in(content)
    media_in("http://a " * 20_000, ["image"])


def test_a_notebook_shows_what_markdown_does_not() -> None:
    message = Message(role="assistant", content=f"![raven]({IMAGE})\n\n{IMAGE}")
    assert "<img" not in message._repr_markdown_()
    film = Message(role="assistant", content=f"{HOST}/base/video/{HASH}")
    assert f'<video controls src="{HOST}/base/video/{HASH}"' in film._repr_markdown_()
    assert "media" not in film.model_dump()


def test_html_of_an_address_is_escaped() -> None:
    assert "<script>" not in Media("image", 'https://x/"><script>', '"><script>')._repr_html_()
