"""The parts of the documentation that are made from the code. `python -m tests.docs.generated` writes them anew.

On a page they stand between `<!-- name:begin -->` and `<!-- name:end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from quoth import errors
from quoth.gateway.metrics import described
from quoth.gateway.problems import SLUGS
from quoth.gateway.settings.known import KINDS, known
from quoth.providers.controls import CONTROLS, INERT
from quoth.providers.quirks import QUIRKS
from quoth.providers.rows import Registry, packaged_names
from quoth.verify import table as facts
from scripts import probe_parameters
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


def quirks() -> str:
    rows = [f"| `{name}` | {quirk.why} | {quirk.evidence} | {quirk.checked} |" for name, quirk in QUIRKS.items()]
    return "\n".join(["| quirk | what Poe does | evidence | seen |", "| --- | --- | --- | --- |", *rows])


def rows() -> str:
    """Every shipped row, Poe's first."""
    found = [row for name in packaged_names() if (row := Registry().get(name)) is not None]
    lines = []
    for row in sorted(found, key=lambda row: (row.name != "poe", row.name)):
        also = ", ".join(f"`{alias}`" for alias in row.aliases) or "–"
        url = f"`{row.base_url}`" if row.base_url else "yours"
        keys = ", ".join(f"`{name}`" for name in row.key_env) + ("" if row.key_required else " (optional)")
        checked = f"{row.checked}; switched off {row.retired}" if row.retired else row.checked
        lines.append(f"| [`{row.name}`]({row.docs}) | {also} | {url} | {keys} | {checked} |")
    head = ["| name | also as | base URL | key variable | checked |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *lines])


def settings(kind: str) -> str:
    """The keys of settings of one kind: those with one meaning in a row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for section, keys in known().items():
        for key, fact in keys.items():
            if fact.kind == kind:
                rows.setdefault((section, fact.meaning), []).append(f"`{key}`")
    lines = [f"| {section} | {', '.join(keys)} | {meaning} |" for (section, meaning), keys in rows.items()]
    return "\n".join(["| where | keys | what for |", "| --- | --- | --- |", *lines])


def slugs() -> str:
    rows = [f"| `{slug}` | {meaning} |" for slug, meaning in SLUGS.items()]
    return "\n".join(["| `type` | meaning |", "| --- | --- |", *rows])


def metrics() -> str:
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or '–'} | {text} |"
        for name, kind, labels, text in described()
    ]
    return "\n".join(["| metric | kind | labels | what it says |", "| --- | --- | --- | --- |", *rows])


SECTIONS: dict[tuple[Path, str], Callable[[], str]] = {
    (ROOT / "docs/sdk.md", "controls"): controls,
    (ROOT / "docs/from-litellm.md", "inert"): inert,
    (ROOT / "docs/errors.md", "tree"): tree,
    (ROOT / "docs/gateway.md", "slugs"): slugs,
    (ROOT / "docs/observability.md", "metrics"): metrics,
    (ROOT / "docs/parameters.md", "poe"): probe_parameters.poe,
    (ROOT / "docs/parameters.md", "differences"): probe_parameters.differences,
    (ROOT / "docs/parameters.md", "controls"): probe_parameters.controls,
    (ROOT / "docs/providers.md", "rows"): rows,
    (ROOT / "docs/quirks.md", "quirks"): quirks,
    **{(ROOT / "docs/settings.md", kind): partial(settings, kind) for kind in KINDS},
    (ROOT / "docs/verify.md", "facts"): facts,
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
