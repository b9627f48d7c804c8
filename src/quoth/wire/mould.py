"""The events of a stream are alike but for one text: what is alike is read once.

A mould is the JSON of one event with a hole where its text was; with two, where a provider says its reasoning under
both names. JSON that fits around another text means the same but for that text; so its chunk is a copy of the first
one's with the text exchanged, and nothing else has to be read, checked or built anew. What does not fit is read as
ever.

That the hole is where it seems is not assumed but tried: the event is read once more with another text in it, and
nothing but the text may have changed.
"""

from __future__ import annotations

import re

import msgspec
from pydantic import BaseModel, ValidationError

from quoth.types import Chunk
from quoth.wire.assemble import TEXTS
from quoth.wire.stamp import MARK, Stamp, stamp_of

__all__ = ["Mould", "mould_of"]

LONGEST = 4096
_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning)"\s*:\s*"((?:[^"\\]|\\.)+)"', re.DOTALL)
_MARKED = MARK.encode()
_SCALARS = (str, int, float, bool, type(None))


class Mould:
    """Casts chunks from the bytes of events. `names` are the fields of the delta that hold the text; `texts` are lists
    to which the text of each chunk is added."""

    __slots__ = ("_between", "_chunk", "_from", "_head", "_stamp", "_tail", "_to", "names", "texts")

    def __init__(self, head: bytes, between: bytes, tail: bytes, stamp: Stamp):
        """`head` and `tail` are what stands around the text, its quotes included, and `between` what does when it is
        said twice."""
        self._head, self._between, self._tail = head, between, tail
        self._from, self._to = len(head) - 1, 1 - len(tail)
        self._stamp, self._chunk = stamp, stamp.chunk
        self.names = stamp.names
        self.texts: list[list[str]] = []

    def within(self, before: bytes, after: bytes) -> Mould:
        """The same for events that stand between these bytes."""
        mould = Mould(before + self._head, self._between, self._tail + after, self._stamp)
        mould.texts = self.texts
        return mould

    def cast(self, data: bytes) -> Chunk | None:
        """The chunk of an event; None when it is of another shape."""
        if not (data.startswith(self._head) and data.endswith(self._tail)):
            return None
        said = data[self._from : self._to]
        if self._between:
            # A text, what is between, and the same text.
            half = (len(said) - len(self._between)) // 2 + 1
            if said[:half] + self._between[1:-1] + said[:half] != said:
                return None
            said = said[:half]
        try:
            text = _string(said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        for pieces in self.texts:
            pieces.append(text)
        return self._chunk(text)


def mould_of(data: bytes, chunk: Chunk) -> Mould | None:
    """The mould that an event and its chunk give; None where more than one text would have to be exchanged, or copied
    with care."""
    if len(data) > LONGEST or len(chunk.choices) != 1 or not _is_plain(chunk):
        return None
    found = [match.span(1) for match in _TEXT.finditer(data)]
    said = {data[begin:end] for begin, end in found}
    if len(said) != 1 or len(found) > 2:
        return None
    head, between, tail = data[: found[0][0]], data[found[0][1] : found[-1][0]], data[found[-1][1] :]
    try:
        text = _string(b'"%b"' % said.pop())
        marked = Chunk.model_validate_json(head + (_MARKED + between if between else b"") + _MARKED + tail)
    except (ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    stamp, fields = stamp_of(marked), vars(marked.choices[0].delta)
    if not stamp.names or text == MARK or any(fields[name] for name in TEXTS if name not in stamp.names):
        return None
    mould = Mould(head, between, tail, stamp)
    return mould if mould.cast(data) == chunk else None


def _is_plain(chunk: Chunk) -> bool:
    """True for one delta of text: nothing in it is an object of its own but the choice and the delta."""
    choice = chunk.choices[0]
    delta = choice.delta
    values = [*vars(choice).values(), *vars(delta).values(), *vars(chunk).values()]
    parts: tuple[BaseModel, ...] = (chunk, choice, delta)
    extras = [value for part in parts for value in (part.__pydantic_extra__ or {}).values()]
    objects = [value for value in (*values, *extras) if type(value) not in _SCALARS]
    return (
        len(objects) == 2
        and objects[0] is delta
        and objects[1] is chunk.choices
        and choice.finish_reason is None
        and all(part.__pydantic_private__ is None for part in parts)
    )


_string = msgspec.json.Decoder(str).decode
