"""Chunks that are alike but for one text: the first is built and checked, the others are copies of it with their own
text.

What such a copy skips is what the first one has been through: every part of it is the same, but for a text that is one.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from pydantic import BaseModel

from quoth.types import Chunk, ChunkChoice, Delta

__all__ = ["MARK", "Chunks", "Stamp", "Text", "stamp_of"]

Json = dict[str, Any]
# A text that no field has by itself.
MARK = "\uf8ff"

# The four slots of a pydantic model. Filling them is what validation ends with.
_values, _fields_set, _extra, _private = (
    BaseModel.__dict__[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)
_new = object.__new__
_Slots = tuple[dict[str, Any], set[str], dict[str, Any]]


class Stamp:
    """Makes chunks. `names` are the fields of the delta that hold the text."""

    __slots__ = ("_parts", "names")

    def __init__(self, names: tuple[str, ...], parts: tuple[_Slots, _Slots, _Slots]):
        """`parts` are those of a chunk, its choice and its delta."""
        self.names = names
        self._parts = parts

    def chunk(self, text: str) -> Chunk:
        # Written out, for it is all that happens for most events.
        of_chunk, of_choice, of_delta = self._parts
        values, fields_set, extra = of_delta
        values = values.copy()
        for name in self.names:
            values[name] = text
        delta = _new(Delta)
        _values(delta, values)
        _fields_set(delta, fields_set.copy())
        _extra(delta, extra.copy())
        _private(delta, None)
        values, fields_set, extra = of_choice
        values = values.copy()
        values["delta"] = delta
        choice = _new(ChunkChoice)
        _values(choice, values)
        _fields_set(choice, fields_set.copy())
        _extra(choice, extra.copy())
        _private(choice, None)
        values, fields_set, extra = of_chunk
        values = values.copy()
        values["choices"] = [choice]
        chunk = _new(Chunk)
        _values(chunk, values)
        _fields_set(chunk, fields_set.copy())
        _extra(chunk, extra.copy())
        _private(chunk, None)
        return chunk


def stamp_of(chunk: Chunk) -> Stamp:
    """The stamp that a chunk gives whose text is MARK. It has one delta; nothing else in it is an object of its own."""
    choice = chunk.choices[0]
    names = tuple(name for name, value in vars(choice.delta).items() if value == MARK)
    return Stamp(names, (_slots(chunk), _slots(choice), _slots(choice.delta)))


def _slots(model: BaseModel) -> _Slots:
    return vars(model).copy(), model.model_fields_set.copy(), (model.__pydantic_extra__ or {}).copy()


class Text(Struct, frozen=True):
    """A chunk that is nothing but a text, not made yet: whoever says it at once in other words needs no more."""

    stamp: Stamp
    text: str

    def chunk(self) -> Chunk:
        return self.stamp.chunk(self.text)


class Chunks:
    """The chunks of one stream, which begin alike: with `head`."""

    __slots__ = ("_stamps", "head")

    def __init__(self, created: int | None):
        """`created` is Unix seconds, where they are known before the stream says anything."""
        self.head: Json = {"object": "chat.completion.chunk"}
        if created is not None:
            self.head["created"] = created
        self._stamps: dict[str, Stamp] = {}

    def begin(self, fields: Json) -> None:
        """From here on they begin with these fields too."""
        self.head.update(fields)
        self._stamps.clear()

    def chunk(self, delta: Json) -> Chunk:
        """Raises ValidationError for what is no delta."""
        return Chunk.model_validate({**self.head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def text(self, name: str, text: str) -> Text:
        """The same for a delta that is one text, under this name."""
        stamp = self._stamps.get(name)
        if stamp is None:
            stamp = self._stamps[name] = stamp_of(self.chunk({name: MARK}))
        return Text(stamp, text)
