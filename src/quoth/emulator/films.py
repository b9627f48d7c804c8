"""Films: a real MP4 of the shape and length that was asked for, from three clips that `scripts/make_clips.py` made.

The clips are small; a film takes the one of the nearest shape. Its length is set by the unit in which the file counts
time: the same frames, shown faster or slower.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

__all__ = ["LONGEST", "SHAPES", "Film", "mp4", "nearest", "still"]

# Width by height of each clip.
SHAPES = {"landscape": (640, 360), "portrait": (360, 640), "square": (480, 480)}
LONGEST = 120.0
_STILLS = {"thumbnail": "webp", "spritesheet": "jpg"}
_TIMES = (b"mvhd", b"mdhd")  # the boxes that name the unit of the film and of its one track


@dataclass(frozen=True, slots=True)
class Film:
    """`shape` is a name in SHAPES."""

    shape: str
    seconds: float

    content_type = "video/mp4"


def nearest(width: int, height: int) -> str:
    """The shape whose aspect is closest, as a ratio: 4:3 is nearer to a square than to 16:9."""
    asked = math.log(width / height)
    return min(SHAPES, key=lambda name: abs(math.log(SHAPES[name][0] / SHAPES[name][1]) - asked))


@lru_cache(maxsize=64)
def mp4(film: Film) -> bytes:
    """The file."""
    clip = bytearray(files("quoth.emulator").joinpath(f"clips/{film.shape}.mp4").read_bytes())
    for box in _TIMES:
        # After the name: version 0 and flags, creation and modification time, units a second, length in units.
        units_at = clip.index(box) + 4 + 12
        (length,) = struct.unpack_from(">I", clip, units_at + 4)
        struct.pack_into(">I", clip, units_at, max(1, round(length / film.seconds)))
    return bytes(clip)


def still(film: Film, variant: str) -> bytes:
    """One of the pictures beside a film: `thumbnail` is WebP, `spritesheet` JPEG."""
    return files("quoth.emulator").joinpath(f"clips/{film.shape}.{_STILLS[variant]}").read_bytes()
