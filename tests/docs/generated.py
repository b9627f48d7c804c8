"""The parts of the documentation that are made from the code. `python -m tests.docs.generated` writes them anew.

On a page they stand between `<!-- name:begin -->` and `<!-- name:end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from quoth import errors
from quoth.sdk.controls import CONTROLS, INERT
from tests.docs.pages import ROOT


def controls() -> str:
    rows = [f"| `{name}` | {meaning} |" for name, meaning in sorted(CONTROLS.items())]
    return "\n".join(["| keyword | meaning |", "| --- | --- |", *rows])


def inert() -> str:
    return ", ".join(f"`{name}`" for name in sorted(INERT)) + "."


def tree() -> str:
    """The drawing in the docstring of quoth.errors."""
    drawing = (errors.__doc__ or "").split("\n\n")[1]
    return "\n".join(["```text", *(line.removeprefix("    ") for line in drawing.splitlines()), "```"])


SECTIONS: dict[tuple[Path, str], Callable[[], str]] = {
    (ROOT / "docs/sdk.md", "controls"): controls,
    (ROOT / "docs/from-litellm.md", "inert"): inert,
    (ROOT / "docs/errors.md", "tree"): tree,
}


def between(page: Path, name: str) -> re.Match[str]:
    found = re.search(rf"(<!-- {name}:begin -->\n)(.*?)(<!-- {name}:end -->)", page.read_text(), re.DOTALL)
    assert found is not None, f"{page.name} has no section {name}"
    return found


if __name__ == "__main__":
    for (page, name), make in SECTIONS.items():
        found = between(page, name)
        text = page.read_text()
        page.write_text(text[: found.start(2)] + make() + "\n" + text[found.end(2) :])
