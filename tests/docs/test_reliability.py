"""The list of faults is whole, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs/reliability.md"
ROW = re.compile(r"^\| ([UCSX]\d+) \|.*\| ([^|]+) \|$", re.M)
CASES = [
    *(f"U{number}" for number in range(1, 35)),
    *(f"C{number}" for number in (*range(1, 15), *range(20, 24))),
    *(f"S{number}" for number in (*range(1, 7), 15, 16, 20, 21, 22)),
    *(f"X{number}" for number in (5, 6, 8, 9, 14)),
]


def rows() -> dict[str, str]:
    return dict(ROW.findall(PAGE.read_text("utf-8")))


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_case_is_there() -> None:
    assert list(rows()) == CASES


@pytest.mark.parametrize("case", CASES)
def test_what_proves_it_is_there(case: str) -> None:
    proofs = [proof.partition(": ") for proof in rows()[case].split("; ")]
    assert proofs
    for file, _, names in proofs:
        wanted = re.findall(r"`(test_\w+)`", names)
        assert wanted
        assert set(wanted) <= functions_in(file)
