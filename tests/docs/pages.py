"""The pages of the documentation, and the code in them.

A fence's first word is its language. `python` is run and `sh` is checked, unless the rest of the line says why not:

    ```python no-run: it would call Poe itself
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<marks>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)(?P=marks) *$", re.M | re.S
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `line` is where its body begins, counted from 1; `reason` says why it is not run, or is ""."""

    page: Path
    line: int
    language: str
    reason: str
    body: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        language, _, rest = found["info"].strip().partition(" ")
        marked, _, reason = rest.partition("no-run:")
        if marked.strip():
            raise ValueError(f"{page.name}: {found['info']!r}: after the language only `no-run: reason` is known")
        line = text.count("\n", 0, found.start("body")) + 1
        indent = len(found["indent"])
        body = "".join(row[indent:] if row.strip() else row for row in found["body"].splitlines(keepends=True))
        yield Block(page, line, language, reason.strip(), body)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose() -> str:
    """All pages as one text."""
    return "\n".join(page.read_text() for page in PAGES)
