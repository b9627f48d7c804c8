"""Pictures: a real PNG of the size that was asked for, with the prompt on it when Pillow is installed.

A sun over a landscape in colours that follow from the prompt. Pillow only sets the words; without it the picture is
plain. In both cases the prompt is also in the file, as the text `Description`.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = ["Picture", "png", "words"]

# Places in the palette: the sky from top to bottom, the ground, the sun, and the words from dark to light.
_SKY, _GROUND, _SUN, _WORDS = 0, 64, 96, 128
_SHADES = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """`title` says whose picture it is. Sides are pixels."""

    width: int
    height: int
    title: str
    prompt: str

    content_type = "image/png"


@lru_cache(maxsize=16)
def png(picture: Picture, *, lettered: bool = True) -> bytes:
    """The file. The same picture is the same bytes, given the same version of Pillow."""
    canvas = _landscape(picture)
    panel = words(picture) if lettered else None
    if panel is not None:
        _paste(canvas, picture, *panel)
    width = picture.width
    rows = bytearray()
    for start in range(0, len(canvas), width):
        rows += b"\0"  # no filter
        rows += canvas[start : start + width]
    header = struct.pack(">IIBBBBB", width, picture.height, 8, 3, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", _palette(picture.prompt)),
            _text("Software", "Quoth emulator: no model has drawn this"),
            _text("Title", picture.title),
            _text("Description", picture.prompt),
            _chunk(b"IDAT", zlib.compress(rows, 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _text(keyword: str, text: str) -> bytes:
    return _chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace"))


def _palette(prompt: str) -> bytes:
    digest = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
    top, bottom, ground, dark = (tuple(byte // divisor for byte in digest[start : start + 3])
                                 for start, divisor in ((0, 3), (3, 1), (6, 2), (9, 6)))  # fmt: skip
    colours = [_between(top, bottom, step / (_SHADES - 1)) for step in range(_SHADES)]
    colours += [_between(ground, dark, step / 31) for step in range(_SUN - _GROUND)]
    colours += [(255, 221, 128)] * (_WORDS - _SUN)
    colours += [_between(dark, (255, 255, 255), step / 127) for step in range(128)]
    return bytes(value for colour in colours for value in colour)


def _between(first: tuple[int, ...], last: tuple[int, ...], part: float) -> tuple[int, ...]:
    return tuple(round(one + (other - one) * part) for one, other in zip(first, last, strict=True))


def _landscape(picture: Picture) -> bytearray:
    width, height = picture.width, picture.height
    digest = hashlib.sha256(picture.prompt.encode("utf-8", "replace")).digest()
    horizon = round(height * (0.62 + digest[20] / 2048))
    radius = max(2, min(width, height) // 9)
    centre_x, centre_y = width * (64 + digest[21] // 2) // 256, height * (40 + digest[22] // 8) // 256
    canvas = bytearray()
    for y in range(height):
        if y >= horizon:
            canvas += bytes([_GROUND + (y - horizon) * 32 // (height - horizon)]) * width
            continue
        canvas += bytes([_SKY + y * _SHADES // horizon]) * width
        reach = radius * radius - (y - centre_y) * (y - centre_y)
        if reach > 0:
            half = round(math.sqrt(reach))
            left, right = max(0, centre_x - half), min(width, centre_x + half)
            canvas[y * width + left : y * width + right] = bytes([_SUN]) * (right - left)
    return canvas


def _paste(canvas: bytearray, picture: Picture, panel: bytes, width: int, height: int) -> None:
    """Put the words in the lower middle."""
    left = (picture.width - width) // 2
    top = picture.height - height - left if picture.height - height > left else picture.height - height
    for row in range(height):
        start = (top + row) * picture.width + left
        canvas[start : start + width] = panel[row * width : (row + 1) * width]


def words(picture: Picture) -> tuple[bytes, int, int] | None:
    """The words as places in the palette, with width and height; None without Pillow or without room."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        return None
    width = picture.width * 9 // 10
    points = max(9, min(picture.width, picture.height) // 20)
    font: Any = ImageFont.load_default(points)
    margin, spacing = points // 2, points * 5 // 4
    room = (picture.height * 9 // 10 - 2 * margin) // spacing
    if room < 1 or width < 4 * points:
        return None
    lines = [picture.title, *_wrapped(picture.prompt, font, width - 2 * margin)]
    if len(lines) > room:
        lines = [*lines[: room - 1], "..."]
    height = 2 * margin + spacing * len(lines)
    panel = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(panel)
    for number, line in enumerate(lines):
        draw.text((margin, margin + number * spacing), line, fill=255, font=font)
    return bytes(_WORDS + value // 2 for value in panel.tobytes()), width, height


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    """The text in lines no wider than `width`; long words are cut."""
    lines, line = [], ""
    for word in text.replace("\0", " ").split()[:400]:
        for piece in _cut(word, font, width):
            longer = f"{line} {piece}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                line = piece
            else:
                line = longer
    return [*lines, line] if line else lines


def _cut(word: str, font: Any, width: int) -> list[str]:
    pieces, rest = [], word[:200]
    while rest:
        length = len(rest)
        while length > 1 and font.getlength(rest[:length]) > width:
            length = length * 3 // 4
        pieces.append(rest[:length])
        rest = rest[length:]
    return pieces
