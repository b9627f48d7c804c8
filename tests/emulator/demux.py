"""A small MP4 demuxer: boxes, the tables of the one video track, and its samples."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_SPS = 7
_PICTURES = {1, 5}  # coded slices: of a picture that refers to others, and of one that does not


@dataclass(frozen=True)
class Video:
    brand: bytes
    width: int
    height: int
    seconds: float
    track_seconds: float
    samples: list[bytes]
    codec: bytes
    sps: bytes


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the contents of every box, containers opened. Raises ValueError when they do not fit."""
    end = len(data) if end is None else end
    while start < end:
        size, name = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end:
            raise ValueError(f"box {name!r} of {size} bytes at {start} does not fit")
        yield name, start + 8, start + size
        if name in _CONTAINERS:
            yield from boxes(data, start + 8, start + size)
        start += size


def video(data: bytes) -> Video:
    """The video track. Raises KeyError or ValueError when something is missing or does not agree."""
    found = {name: (begin, end) for name, begin, end in boxes(data)}

    def numbers(box: bytes, form: str, skip: int) -> tuple[int, ...]:
        begin, end = found[box]
        if begin + skip + struct.calcsize(form) > end:
            raise ValueError(f"{box!r} is too short")
        return tuple(struct.unpack_from(form, data, begin + skip))

    (movie_unit, movie_length), (unit, length) = numbers(b"mvhd", ">II", 12), numbers(b"mdhd", ">II", 12)
    count = numbers(b"stsz", ">I", 8)[0]
    sizes = numbers(b"stsz", f">{count}I", 12)
    runs = numbers(b"stts", ">I", 4)[0]
    deltas = numbers(b"stts", f">{2 * runs}I", 8)
    if (
        sum(deltas[::2]) != count
        or sum(n * ticks for n, ticks in zip(deltas[::2], deltas[1::2], strict=True)) != length
    ):
        raise ValueError("the durations of the samples do not add up to that of the track")
    if numbers(b"stsc", ">IIII", 4) != (1, 1, count, 1) or numbers(b"stco", ">I", 4) != (1,):
        raise ValueError("more than one chunk")
    place = numbers(b"stco", ">I", 8)[0]
    begin, end = found[b"mdat"]
    if (place, place + sum(sizes)) != (begin, end):
        raise ValueError("the samples are not what mdat holds")
    samples = []
    for size in sizes:
        samples.append(data[place : place + size])
        place += size
    entry = found[b"stsd"][0] + 8
    width, height = struct.unpack_from(">HH", data, entry + 32)
    configured = data.index(b"avcC", entry) + 4
    sps_length = struct.unpack_from(">H", data, configured + 6)[0]
    return Video(
        brand=data[found[b"ftyp"][0] : found[b"ftyp"][0] + 4],
        width=width,
        height=height,
        seconds=movie_length / movie_unit,
        track_seconds=length / unit,
        samples=samples,
        codec=data[entry + 4 : entry + 8],
        sps=data[configured + 8 : configured + 8 + sps_length],
    )


def units(sample: bytes) -> list[int]:
    """The types of the H.264 units in a sample, each of which says its length. Raises ValueError when they overrun."""
    types, place = [], 0
    while place < len(sample):
        (length,) = struct.unpack_from(">I", sample, place)
        if length < 1 or place + 4 + length > len(sample):
            raise ValueError("a unit overruns its sample")
        types.append(sample[place + 4] & 31)
        place += 4 + length
    return types


def is_playable(found: Video) -> bool:
    """Whether every sample holds one picture, the first of them one that needs no other."""
    kinds = [[kind for kind in units(sample) if kind in _PICTURES] for sample in found.samples]
    return found.codec == b"avc1" and found.sps[0] & 31 == _SPS and kinds[0][:1] == [5] and all(kinds)
