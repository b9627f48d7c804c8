"""A settings file and what it includes, as one tree.

`include` names files relative to the file that has the key. Lists are put one behind the other, mappings are merged; of
two values for one key the including file's wins, with a warning that names both places.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from quoth.gateway.settings.document import MAX_BYTES, Node, plain, read
from quoth.gateway.settings.problems import NOWHERE, Place, Problems, at

__all__ = ["gather"]

_MAX_FILES = 100


def gather(path: str, problems: Problems) -> tuple[Node | None, list[str]]:
    """The merged tree (None if the file itself cannot be read) and every file that was read, this one first."""
    files: dict[Path, str] = {}
    return _gather(path, NOWHERE, "", (), files, problems), list(files.values())


def _gather(
    path: str, place: Place, where: str, above: tuple[Path, ...], files: dict[Path, str], problems: Problems
) -> Node | None:
    real = Path(path).resolve()
    text = _text(path, place, where, problems)
    if text is None:
        return None
    files[real] = path
    root = read(text, path, problems)
    if root is None:
        return None
    wanted = root.entries.get("include")
    if wanted is None or wanted.value is None:
        return root
    merged = Node({name: value for name, value in root.entries.items() if name != "include"}, root.place, root.key)
    for number, item in enumerate(wanted.items if isinstance(wanted.value, list) else [wanted]):
        step = at("include", number)
        if not isinstance(item.value, str) or not item.value.strip():
            problems.error(item.place, step, f"{plain(item)!r} is not the name of a file")
            continue
        name = str(Path(path).parent / item.value)
        target = Path(name).resolve()
        if target in (*above, real):
            problems.error(item.place, step, f"{item.value} includes this file again: a cycle")
        elif target in files:
            problems.error(item.place, step, f"{item.value} is already included; what it lists would be there twice")
        elif len(files) >= _MAX_FILES:
            problems.error(item.place, step, f"more than {_MAX_FILES} files are included")
        else:
            included = _gather(name, item.place, step, (*above, real), files, problems)
            if included is not None:
                merged = _merge(merged, included, "", problems)
    return merged


def _text(path: str, place: Place, where: str, problems: Problems) -> str | None:
    # A problem with the file that was asked for stands at that file; with an included one, where it is named.
    place, it = (Place(path), "it") if place == NOWHERE else (place, path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        problems.error(place, where, f"{it} cannot be read: {error.strerror or error}")
        return None
    if len(data) > MAX_BYTES:
        problems.error(place, where, f"{it} is larger than {MAX_BYTES >> 20} MiB")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        problems.error(Place(path, line, column), "", f"it is not UTF-8 (byte {data[error.start]:#04x})")
        return None


def _merge(ours: Node, theirs: Node, path: str, problems: Problems) -> Node:
    """`ours` is the including file's; its scalars win."""
    if isinstance(ours.value, list) and isinstance(theirs.value, list):
        return replace(ours, value=[*ours.value, *theirs.value])
    if isinstance(ours.value, dict) and isinstance(theirs.value, dict):
        entries = dict(ours.value)
        for name, value in theirs.value.items():
            mine = entries.get(name)
            entries[name] = value if mine is None else _merge(mine, value, at(path, name), problems)
        return replace(ours, value=entries)
    if plain(ours) != plain(theirs):
        problems.warning(
            theirs.key, path, f"it is also given at {ours.key}, in the file that includes this one; that wins"
        )
    return ours
