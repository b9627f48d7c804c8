"""Bad YAML is refused with file, line and column (S1), and good YAML means what it means to PyYAML."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from quoth.gateway.settings.document import MAX_BYTES, plain, read
from quoth.gateway.settings.gather import gather
from quoth.gateway.settings.problems import Problems
from tests.gateway.settings.conftest import ONE, Written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model_list:\n\t- model_name: x\n", "2:1 : the line is indented with a tab; YAML is indented with spaces"),
        ("model_list: [\n", "2:1 : this is not YAML: while parsing a"),
        ('a: "b\nc: d\n', "3:1 : this is not YAML: while scanning a quoted scalar found unexpected end of stream"),
        ("- a\n- b\n", "1:1 : it has to be a mapping with keys such as model_list, not a list"),
        ("just words\n", "1:1 : it has to be a mapping with keys such as model_list, not a text"),
        ("quoth: 0x_\n", "1:8 quoth: 0x_ is no number that can be read"),
        (f"quoth: {'9' * 5000}\n", f"1:8 quoth: {'9' * 40} is no number that can be read"),
        ("quoth: é\nx-a: '\x00'\n", "2:7 : this is not YAML: U+0000 is not allowed in it"),
        ("quoth: !!python/object/apply:os.system [ls]\n", "1:8 quoth: !!python/object/apply:os.system is a YAML tag"),
        ("quoth: !secret x\n", "1:8 quoth: !secret is a YAML tag; they are not allowed here"),
        ("quoth: {!!str log: {}}\n", "1:9 quoth: a key has to be a plain text"),
        ("? [a, b]\n: c\n", "1:3 : a key has to be a plain text"),
        (f"{ONE}---\n{ONE}", "4:1 : a second document begins here; a settings file is one"),
        ("quoth: *nowhere\n", "1:8"),
        ('include: "a\\0b"\n', "1:10 include: it holds a character that is no text: NUL, or half of a pair"),
        ("quoth: *\n", "1:9 : a text that begins with * has to stand in quotation marks"),
        ("quoth: */x\n", "1:9 : a text that begins with * has to stand in quotation marks"),
        ("quoth: &a [*a]\n", "1:12 quoth[0]: there is no finished anchor &a above"),
        ("quoth: 99999999999999999999\n", "1:8 quoth: 99999999999999999999 is beyond 64 bits"),
        (f"quoth: {'[' * 40}{']' * 40}\n", "1:40 : more than 32 values are inside one another"),
    ],
    ids=range(20),
)
def test_what_is_no_settings_file_is_refused_with_its_place(written: Written, text: str, said: str) -> None:
    assert written.error(text).startswith(said)


def test_tens_of_thousands_of_brackets_end_like_three(written: Written) -> None:
    assert "more than 32 values are inside one another" in written.error(f"quoth:\n  {'- ' * 50_000}x\n")
    for opening in ("[", "{a: "):
        # libyaml has a bound of its own, and which of the two is met first is its affair.
        assert re.search("more than 32 values|maximum nesting depth", written.error(f"quoth: {opening * 50_000}"))


def test_a_key_that_is_given_twice_is_refused_with_both_lines(written: Written) -> None:
    text = f"{ONE}general_settings:\n  master_key: a\ngeneral_settings: {{}}\n"
    assert "6:1 general_settings: general_settings was given above, in line 4" in written.errors(text)[-1]
    twice = "model_list:\n  - model_name: a\n    litellm_params:\n      model: poe/x\n      model: poe/y\n"
    assert written.error(twice).startswith("5:7 model_list[0].litellm_params.model: model was given above, in line 4")


def test_anchors_and_merge_keys_work(written: Written) -> None:
    settings = written.load(
        """\
model_list:
  - model_name: one
    litellm_params: &base {model: poe/A, timeout: 5, rpm: 7}
  - model_name: two
    litellm_params: {<<: *base, model: poe/B}
  - model_name: three
    litellm_params: {<<: [{rpm: 9}, *base]}
"""
    )
    assert [entry.litellm_params for entry in settings.models] == [
        {"model": "poe/A", "timeout": 5.0, "rpm": 7},
        {"model": "poe/B", "timeout": 5.0, "rpm": 7},
        {"model": "poe/A", "timeout": 5.0, "rpm": 9},
    ]
    assert "<< merges mappings" in written.error("quoth: {<<: 3}\n")


def test_anchors_that_unfold_to_millions_of_values_are_refused(written: Written) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    error = written.error("\n".join(lines))
    assert "with its anchors unfolded it has more than 200,000 values" in error
    assert error.startswith("6:10 a5[0]: ")


def test_a_file_of_absurd_size_is_refused(written: Written) -> None:
    assert "is larger than 4 MiB" in written.error(f"# {'x' * MAX_BYTES}\n")


def test_a_file_that_is_no_text_is_refused(written: Written) -> None:
    path = written.folder / "latin.yaml"
    path.write_bytes(b"a: b\nc: \xe4\n")
    problems = Problems()
    assert gather(str(path), problems)[0] is None
    (only,) = problems.all()
    assert (only.line, only.column, only.message) == (2, 4, "it is not UTF-8 (byte 0xe4)")


def test_a_byte_order_mark_and_an_empty_file_are_nothing_special(written: Written) -> None:
    assert [entry.model_name for entry in written.load(f"\ufeff{ONE}").models] == ["one"]
    for text in ("", "# nothing\n", "---\n", "null\n"):
        assert [entry.model_name for entry in written.load(text).models] == ["poe/*", "*"]


SCALARS = """\
a: [yes, No, on, true, ~, null, 1, -7, 0x1f, 0o17, 010, 1_000, 1.5, .5, 1e3, 1.0e3, .inf, text, "1", '2', "yes"]
b: |
  lines
  of text
c: >-
  folded
  text
"""


def test_scalars_mean_what_they_mean_to_pyyaml() -> None:
    problems = Problems()
    node = read(SCALARS, "x.yaml", problems)
    assert node is not None
    assert plain(node) == yaml.safe_load(SCALARS)
    assert not problems.all()


@pytest.mark.parametrize("word", ["2025-01-01", "12:30", "2025-01-01 10:00:00"])
def test_dates_and_clock_times_stay_texts(word: str) -> None:
    node = read(f"a: {word}\n", "x.yaml", Problems())
    assert node is not None
    assert plain(node) == {"a": word}


def test_every_value_knows_its_place() -> None:
    node = read("a:\n  - b: 1\n    'c': {d: [x,\n      y]}\n", "x.yaml", Problems())
    assert node is not None

    def places(value: Any) -> Any:
        if value.entries:
            return {name: places(item) for name, item in value.entries.items()}
        return [places(item) for item in value.items] or (value.place.line, value.place.column)

    assert places(node) == {"a": [{"b": (2, 8), "c": {"d": [(3, 15), (4, 7)]}}]}
    assert str(node.entries["a"].items[0].entries["c"].key) == "x.yaml:3:5"
