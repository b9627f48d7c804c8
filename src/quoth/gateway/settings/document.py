"""A YAML text as a tree in which every value knows its line and column.

YAML is a larger language than a settings file needs. What is dangerous in it is refused: tags (they name things to be
made), several documents, keys given twice (the second would win in silence), and texts that grow when they are read:
anchors work, but what they unfold to is bounded, and so are depth and size. Merge keys (`<<: *base`) work. Plain
scalars mean what they mean to PyYAML's safe loader, except that dates and sexagesimal numbers stay texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.nodes import ScalarNode
from yaml.reader import Reader
from yaml.resolver import Resolver

from quoth.gateway.settings.problems import NOWHERE, Place, Problems, at

__all__ = ["MAX_BYTES", "Node", "empty", "plain", "read"]

MAX_BYTES = 4 << 20
_MAX_DEPTH = 32
_MAX_NODES = 200_000
_MERGE = "<<"
_PREFIX = "tag:yaml.org,2002:"

_UNSAYABLE = re.compile("[\0\ud800-\udfff]")

# The loader over libyaml where PyYAML was built with it: ten times faster on files with thousands of models.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written. `key` is the place of its key in the mapping that holds it.

    `variable` names the environment variable that the value was taken from.
    """

    value: Any  # a scalar, list[Node] or dict[str, Node]
    place: Place = NOWHERE
    key: Place = NOWHERE
    variable: str | None = None

    @property
    def entries(self) -> dict[str, Node]:
        """The entries of a mapping; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items of a list; none for anything else."""
        return self.value if isinstance(self.value, list) else []


def empty(place: Place = NOWHERE) -> Node:
    return Node({}, place, place)


def plain(node: Node) -> Any:
    """The value without its places: dicts, lists and scalars."""
    if isinstance(node.value, dict):
        return {name: plain(value) for name, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def read(text: str, file: str, problems: Problems) -> Node | None:
    """The tree of a text; an empty text is an empty mapping. None if it is no YAML or no mapping, which is reported."""
    try:
        return _Builder(text, file, problems).document()
    except _Stop as stop:
        problems.error(stop.place, stop.path, stop.message)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file) if mark is None else Place(file, mark.line + 1, mark.column + 1)
        problems.error(place, "", _said(error, text, mark))
    except yaml.YAMLError:
        # The reader's: a character that YAML does not have. It says where in bytes or in characters, as it likes.
        found = Reader.NON_PRINTABLE.search(text)
        start = 0 if found is None else found.start()
        place = Place(file, text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
        character = "a character" if found is None else f"U+{ord(found[0]):04X}"
        problems.error(place, "", f"this is not YAML: {character} is not allowed in it")
    return None


def _said(error: yaml.MarkedYAMLError, text: str, mark: yaml.Mark | None) -> str:
    lines = text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "the line is indented with a tab; YAML is indented with spaces"
    if "scanning an alias" in (error.context or ""):
        return "a text that begins with * has to stand in quotation marks; without them it names an anchor"
    about = " ".join(part for part in (error.context, error.problem) if part)
    return f"this is not YAML: {about}"


class _Stop(Exception):
    def __init__(self, place: Place, path: str, message: str):
        super().__init__(message)
        self.place, self.path, self.message = place, path, message


class _Builder:
    def __init__(self, text: str, file: str, problems: Problems):
        self._events: Iterator[Event] = yaml.parse(text, Loader=_Loader)
        self._file, self._problems = file, problems
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._resolver, self._constructor = Resolver(), SafeConstructor()
        self._count = 0

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise _Stop(self._place(event), "", "a second document begins here; a settings file is one")
                root = self._node(next(self._events), "", 0)
            elif isinstance(event, StreamEndEvent | DocumentEndEvent):
                continue
        if root is None or root.value is None:
            return empty(Place(self._file, 1, 1))
        if not isinstance(root.value, dict):
            # What a file of something else holds, such as a key, is not shown.
            kind = "a list" if isinstance(root.value, list) else "a text"
            raise _Stop(root.place, "", f"it has to be a mapping with keys such as model_list, not {kind}")
        return root

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        return Place(self._file) if mark is None else Place(self._file, mark.line + 1, mark.column + 1)

    def _spend(self, event: Event, path: str, nodes: int) -> None:
        self._count += nodes
        if self._count > _MAX_NODES:
            raise _Stop(self._place(event), path, f"with its anchors unfolded it has more than {_MAX_NODES:,} values")

    def _node(self, event: Event, path: str, depth: int) -> Node:
        if isinstance(event, AliasEvent):
            return self._aliased(event, path)
        assert isinstance(event, NodeEvent)
        if depth > _MAX_DEPTH:
            raise _Stop(self._place(event), "", f"more than {_MAX_DEPTH} values are inside one another")
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = tag.replace(_PREFIX, "!!")
            raise _Stop(self._place(event), path, f"{shown} is a YAML tag; they are not allowed here")
        before = self._count
        self._spend(event, path, 1)
        node = self._untagged(event, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _untagged(self, event: Event, path: str, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, ScalarEvent):
            return Node(self._scalar(event, path), place)
        if isinstance(event, SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(event := next(self._events), SequenceEndEvent):
                items.append(self._node(event, at(path, len(items)), depth + 1))
            return Node(items, place)
        assert isinstance(event, MappingStartEvent)
        return Node(self._mapping(path, depth), place)

    def _mapping(self, path: str, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        inherited: list[Node] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            place = self._place(event)
            if not isinstance(event, ScalarEvent) or event.tag is not None:
                raise _Stop(place, path, "a key has to be a plain text")
            name = event.value
            value = replace(self._node(next(self._events), at(path, name), depth + 1), key=place)
            if name == _MERGE and not event.style:
                inherited.extend(self._bases(value, at(path, name)))
            elif name in entries:
                first = entries[name].key
                message = f"{name} was given above, in line {first.line}; one of the two would be ignored"
                self._problems.error(place, at(path, name), message)
            else:
                entries[name] = value
        for base in inherited:
            for name, value in base.entries.items():
                entries.setdefault(name, value)
        return entries

    def _bases(self, value: Node, path: str) -> list[Node]:
        bases = value.items if isinstance(value.value, list) else [value]
        for base in bases:
            if not isinstance(base.value, dict):
                raise _Stop(base.place, path, "<< merges mappings, such as <<: *base")
        return bases

    def _aliased(self, event: AliasEvent, path: str) -> Node:
        found = self._anchors.get(event.anchor or "")
        if found is None:
            raise _Stop(self._place(event), path, f"there is no finished anchor &{event.anchor} above")
        node, nodes = found
        self._spend(event, path, nodes)
        return node

    def _scalar(self, event: ScalarEvent, path: str) -> Any:
        value: str = event.value
        if _UNSAYABLE.search(value):
            raise _Stop(self._place(event), path, "it holds a character that is no text: NUL, or half of a pair")
        if event.style not in (None, ""):
            return value
        tag = self._resolver.resolve(ScalarNode, value, (True, False)).removeprefix(_PREFIX)  # type: ignore[no-untyped-call]
        if tag == "null":
            return None
        if tag not in ("bool", "int", "float") or ":" in value:
            return value
        build = getattr(self._constructor, f"construct_yaml_{tag}")
        try:
            number = build(ScalarNode(_PREFIX + tag, value))
        except ValueError:  # 0x_, or more digits than Python reads
            raise _Stop(self._place(event), path, f"{value[:40]} is no number that can be read") from None
        if isinstance(number, int) and not -(1 << 63) <= number < 1 << 64:
            raise _Stop(self._place(event), path, f"{value[:40]} is beyond 64 bits")
        return number
