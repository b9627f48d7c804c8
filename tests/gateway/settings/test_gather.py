"""`include`: files beside the one that names them, lists put together, circles refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from quoth.gateway.settings import Refused, load
from tests.gateway.settings.conftest import KEYS, ONE, Written

TWO = "model_list:\n  - model_name: two\n    litellm_params: {model: poe/B}\n"


def names(settings: object) -> list[str]:
    return [entry.model_name for entry in settings.models]  # type: ignore[attr-defined]


def test_lists_are_put_one_behind_the_other(written: Written) -> None:
    written.file(TWO, "models/two.yaml")
    settings = written.load(f"include: [models/two.yaml]\n{ONE}")
    assert names(settings) == ["one", "two"]
    assert settings.models[1].where == f"{written.folder / 'models/two.yaml'}:2"
    assert settings.source_files == (str(written.folder / "config.yaml"), str(written.folder / "models/two.yaml"))


def test_one_name_alone_is_a_list_of_one(written: Written) -> None:
    written.file(TWO, "two.yaml")
    assert names(written.load("include: two.yaml\n")) == ["two"]


def test_an_included_file_includes_relative_to_itself(written: Written) -> None:
    written.file(TWO, "deep/er/two.yaml")
    written.file("include: [er/two.yaml]\nlitellm_settings: {num_retries: 5}\n", "deep/middle.yaml")
    settings = written.load(f"include: [deep/middle.yaml]\n{ONE}")
    assert names(settings) == ["one", "two"]
    assert settings.routing == {"num_retries": 5}
    assert len(settings.source_files) == 3


def test_mappings_are_merged_and_the_including_file_wins(written: Written) -> None:
    written.file("litellm_settings: {num_retries: 5, drop_params: true}\n", "more.yaml")
    settings = written.load(f"include: [more.yaml]\n{ONE}litellm_settings: {{num_retries: 2}}\n")
    assert settings.routing == {"num_retries": 2}
    assert settings.drop_params is True
    (warning,) = [problem for problem in settings.warnings if problem.path]
    assert (warning.file, warning.line) == (str(written.folder / "more.yaml"), 1)
    assert f"it is also given at {written.folder / 'config.yaml'}:5:20" in warning.message


def test_the_same_value_twice_is_no_matter(written: Written) -> None:
    written.file("litellm_settings: {num_retries: 2}\n", "more.yaml")
    settings = written.load(f"include: [more.yaml]\n{ONE}litellm_settings: {{num_retries: 2}}\n")
    assert not [problem for problem in settings.warnings if problem.path]


def test_a_missing_file_is_refused_where_it_is_named(written: Written) -> None:
    error = written.error(f"include:\n  - nowhere.yaml\n{ONE}")
    assert error.startswith("2:5 include[0]: ")
    assert error.endswith("nowhere.yaml cannot be read: No such file or directory")
    assert "cannot be read: Is a directory" in written.error("include: [.]\n")
    assert "3 is not the name of a file" in written.error("include: [3]\n")


def test_the_file_itself_may_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"config\.yaml: it cannot be read: No such file or directory"):
        load(str(tmp_path / "config.yaml"), KEYS)


def test_circles_and_repetitions_are_refused(written: Written) -> None:
    assert "includes this file again: a cycle" in written.error(f"include: [config.yaml]\n{ONE}")
    written.file("include: [config.yaml]\n", "other.yaml")
    (problem,) = written.problems(f"include: [other.yaml]\n{ONE}")
    assert (problem.file, problem.line) == (str(written.folder / "other.yaml"), 1)
    written.file(TWO, "two.yaml")
    assert "is already included" in written.error(f"include: [two.yaml, ./two.yaml]\n{ONE}")


def test_problems_of_an_included_file_have_its_name(written: Written) -> None:
    written.file("model_list:\n  - model_name: two\n    litellm_params: {model: poee/B}\n", "two.yaml")
    (problem,) = written.problems(f"include: [two.yaml]\n{ONE}")
    assert problem.file == str(written.folder / "two.yaml")
    assert (problem.line, problem.path) == (3, "model_list[1].litellm_params.model")
    assert "Did you mean 'poe'?" in problem.message
    written.file("model_list: [\n", "two.yaml")
    (problem,) = written.problems(f"include: [two.yaml]\n{ONE}")
    assert problem.file == str(written.folder / "two.yaml")
