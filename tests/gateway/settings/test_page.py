"""docs/settings.md: its files load, its messages are said, and it has every key of Quoth's own with its default."""

from __future__ import annotations

import re

import msgspec
import pytest

from quoth.gateway.settings import Cache, Quoth, Server
from quoth.gateway.settings.document import Node
from quoth.gateway.settings.own import OWN
from quoth.gateway.settings.problems import NOWHERE, Problems
from tests.docs.pages import ROOT, Block, blocks
from tests.gateway.settings.conftest import Written

PAGE = ROOT / "docs" / "settings.md"
FILES = [block for block in blocks(PAGE) if block.language == "yaml" and not block.reason]


@pytest.mark.parametrize("block", FILES, ids=lambda block: block.place)
def test_its_files_load_under_strict(written: Written, block: Block) -> None:
    assert written.load(block.body, strict=True).models


def test_its_messages_are_said(written: Written) -> None:
    shown = next(block.body for block in blocks(PAGE) if block.language == "text").splitlines()
    text = (
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: poe/A\n      api_key: os.environ/POE_KEY\n"
        "general_settings:\n  # every call has a user\n  enforce_user_parm: true\n"
    )
    said = [str(problem).replace(f"{written.folder}/", "") for problem in written.problems(text)]
    assert said == shown


def test_it_has_every_key_of_quoths_own_with_its_default() -> None:
    table = PAGE.read_text().partition("## Under `quoth:`")[2].partition("## All keys")[0]
    rows = dict(re.findall(r"^\| (`.*?`) \|(.*?)\|", table, re.M))
    shown = {name: default.strip(" `") for names, default in rows.items() for name in re.findall(r"`(.*?)`", names)}
    assert set(shown) == {f"{name}.{key}" if name else key for name, keys in OWN.items() for key in keys}
    defaults = msgspec.to_builtins(Quoth()) | {
        "server": msgspec.to_builtins(Server()),
        "cache": msgspec.to_builtins(Cache()),
    }
    for name, default in shown.items():
        table_name, _, key = name.rpartition(".")
        value = (defaults[table_name] if table_name else defaults).get(key)
        if value is None or value == []:
            assert default in ("", "the provider's limit", "stdout"), name
            continue
        if value == ():
            assert default == "", name
            continue
        written_default = {"true": True, "false": False}.get(default, default)
        problems = Problems()
        assert OWN[table_name][key](Node(written_default, NOWHERE), name, problems) == value, name
        assert not problems.all()
