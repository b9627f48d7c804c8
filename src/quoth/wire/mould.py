"""The events of a stream are alike but for one text: what is alike is read once.

A mould is the JSON of one event with a hole where its text was. JSON that fits around another text means the same but
for that text; so its chunk is a copy of the first one's with the text exchanged, and nothing else has to be read,
checked or built anew. What does not fit is read as ever.

That the hole is where it seems is not assumed but tried: the event is read once more with another text in it, and
nothing but the text may have changed.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from quoth.types import Chunk, ChunkChoice, Delta
from quoth.wire.assemble import TEXTS

__all__ = ["Mould", "mould_of"]

LONGEST = 4096
_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning)"\s*:\s*"((?:[^"\\]|\\.)+)"', re.DOTALL)
_MARK = "\uf8ff"
_SCALARS = (str, int, float, bool, type(None))

# The four slots of a pydantic model. Filling them is what validation ends with.
_fields, _set, _extra, _private = (
    getattr(BaseModel, name).__set__ if name != "__dict__" else BaseModel.__dict__[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)
_new = object.__new__
_Slots = tuple[dict[str, Any], set[str], dict[str, Any]]


class Mould:
    """Casts chunks from the bytes of events. `names`: the fields of the delta that hold the text."""

    __slots__ = ("_choice", "_chunk", "_delta", "_from", "_head", "_tail", "_to", "names")

    def __init__(self, head: bytes, tail: bytes, names: tuple[str, ...], chunk: Chunk):
        """`head` and `tail` are what stands around the text, its quotes included."""
        self._head, self._tail = head, tail
        self._from, self._to = len(head) - 1, 1 - len(tail)
        self.names = names
        choice = chunk.choices[0]
        self._chunk, self._choice, self._delta = _slots(chunk), _slots(choice), _slots(choice.delta)

    def within(self, before: bytes, after: bytes) -> Mould:
        """The same for events that stand between these bytes."""
        return Mould(before + self._head, self._tail + after, self.names, self.chunk(""))

    def cast(self, data: bytes) -> tuple[str, Chunk] | None:
        """The text and the chunk of an event; None when it is of another shape."""
        if not (data.startswith(self._head) and data.endswith(self._tail)):
            return None
        try:
            text = _string(data[self._from : self._to])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return text, self.chunk(text)

    def chunk(self, text: str) -> Chunk:
        """The chunk with this text."""
        fields, fields_set, extra = self._delta
        fields = fields.copy()
        for name in self.names:
            fields[name] = text
        delta = _new(Delta)
        _fields(delta, fields)
        _set(delta, fields_set.copy())
        _extra(delta, extra.copy())
        _private(delta, None)
        fields, fields_set, extra = self._choice
        fields = fields.copy()
        fields["delta"] = delta
        choice = _new(ChunkChoice)
        _fields(choice, fields)
        _set(choice, fields_set.copy())
        _extra(choice, extra.copy())
        _private(choice, None)
        fields, fields_set, extra = self._chunk
        fields = fields.copy()
        fields["choices"] = [choice]
        chunk = _new(Chunk)
        _fields(chunk, fields)
        _set(chunk, fields_set.copy())
        _extra(chunk, extra.copy())
        _private(chunk, None)
        return chunk


def mould_of(data: bytes, chunk: Chunk) -> Mould | None:
    """The mould that an event and its chunk give; None where more than one text would have to be exchanged, or copied
    with care."""
    if len(data) > LONGEST or len(chunk.choices) != 1 or not _is_plain(chunk):
        return None
    found = [match.span(1) for match in _TEXT.finditer(data)]
    if len(found) != 1:
        return None
    begin, end = found[0]
    head, tail = data[:begin], data[end:]
    try:
        marked = Chunk.model_validate_json(b"%b%b%b" % (head, _MARK.encode(), tail))
        text = _string(data[begin - 1 : end + 1])
    except (ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    fields = vars(marked.choices[0].delta)
    names = tuple(name for name, value in fields.items() if value == _MARK)
    if not names or text == _MARK or any(fields[name] for name in TEXTS if name not in names):
        return None
    mould = Mould(head, tail, names, marked)
    return mould if mould.chunk(text) == chunk else None


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


def _slots(model: BaseModel) -> _Slots:
    return vars(model).copy(), model.model_fields_set.copy(), (model.__pydantic_extra__ or {}).copy()


_string = msgspec.json.Decoder(str).decode
