"""What is public is documented, what is documented is so, and every link leads somewhere."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import quoth
from quoth import errors
from quoth.providers.controls import CONTROLS, INERT
from quoth.providers.rows import Registry
from tests.docs.generated import SECTIONS, between
from tests.docs.pages import PAGES, ROOT, name_of, prose

PITCH = "All of Poe, and any OpenAI-compatible provider, from one Python function and one gateway."
LINK = re.compile(r"(?<!!)\[[^]\n]*]\(([^)\s]+)\)")


@pytest.mark.parametrize("name", sorted({*quoth.__all__, *errors.__all__} - {"for_status"}))
def test_public_names_are_documented(name: str) -> None:
    assert re.search(rf"\b{re.escape(name)}\b", prose())


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_control_keywords_are_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", prose())


@pytest.mark.parametrize("kind", [quoth.Client, quoth.AsyncClient])
def test_arguments_of_the_clients_are_documented(kind: type) -> None:
    table = (ROOT / "docs/sdk.md").read_text().partition("## Clients and pools")[2].partition("## Control")[0]
    names = set(inspect.signature(kind).parameters) - {"self"}
    assert not [name for name in sorted(names) if f"`{name}`" not in table]


@pytest.mark.parametrize(
    ("section", "make"), SECTIONS.items(), ids=lambda value: value[1] if isinstance(value, tuple) else ""
)
def test_generated_sections_are_fresh(section: tuple[Path, str], make: Callable[[], str]) -> None:
    assert between(*section)[2] == make() + "\n", "run: python -m tests.docs.generated"


def test_tree_of_errors_is_the_tree_of_classes() -> None:
    """Each line of the drawing, by its depth, names a class and its parent."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").split("\n\n")[1].splitlines():
        found = re.match(r"    ((?:[│ ]   )*)(?:[├└]── )?(\w+)", line)
        assert found is not None, line
        depth = line.index(found[2]) // 4 - 1
        above[depth:] = [found[2]]
        drawn[found[2]] = above[depth - 1] if depth else "Exception"
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and name in errors.__all__}
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in classes.values()}


def rows_of_errors() -> dict[str, tuple[str, str]]:
    table = (ROOT / "docs/errors.md").read_text().partition("## What to do")[2].partition("## Attributes")[0]
    return {
        name: (status, again) for name, status, again in re.findall(r"^\| `(\w+)` \| ?(\d*) \| (\w+) \|", table, re.M)
    }


def test_table_of_errors_has_every_class_with_its_status() -> None:
    found = [getattr(errors, name) for name in errors.__all__]
    classes: set[type[errors.QuothError]] = {
        kind for kind in found if inspect.isclass(kind) and issubclass(kind, errors.QuothError)
    }
    rows = rows_of_errors()
    assert rows.keys() == {kind.__name__ for kind in classes}
    for kind in classes:
        status, again = rows[kind.__name__]
        assert status == str(kind.status or ""), kind
        assert again == "sometimes" if kind is errors.Timeout else again == ("yes" if kind.retryable else "no"), kind


def test_attributes_of_errors_are_documented() -> None:
    table = (ROOT / "docs/errors.md").read_text().partition("## Attributes")[2].partition("```")[0]
    for name in [*vars(errors.StreamInterrupted("")), "retryable"]:
        assert f"`{name}`" in table


def test_keywords_that_do_nothing_have_no_other_use() -> None:
    assert not INERT & CONTROLS.keys()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_index_leads_to_every_page() -> None:
    linked = {
        (ROOT / "docs" / link.partition("#")[0]).resolve()
        for link in LINK.findall((ROOT / "docs/index.md").read_text())
    }
    assert {page.resolve() for page in PAGES if page.parent.name != "decisions"} - {ROOT / "docs/index.md"} <= linked


def test_readme_says_what_it_is_and_what_it_is_not() -> None:
    readme = (ROOT / "README.md").read_text()
    assert PITCH in readme
    assert "hundreds of models (362 in the list of 1 April 2026)" in readme
    assert "Not affiliated with Quora or Poe." in readme
    assert f"{len(Registry().names())} providers as rows of data" in readme
    assert f"{len(Registry().names()) - 1} other providers" in readme
