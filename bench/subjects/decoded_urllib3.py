"""urllib3 and the standard json: the least with which a program gets at the text of a stream."""

from __future__ import annotations

from subjects import bare_urllib3

load = bare_urllib3.load


def streamer(base):
    return bare_urllib3.reading(base, text_of())


def text_of():
    """How many characters of text a piece of a stream holds. Correct only for whole lines and one choice, as here."""
    import json

    rest = b""

    def take(piece):
        nonlocal rest
        *lines, rest = (rest + piece).split(b"\n")
        total = 0
        for line in lines:
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    total += len(choice["delta"].get("content") or "")
        return total

    return take
