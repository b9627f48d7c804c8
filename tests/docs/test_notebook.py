"""The notebook runs from beginning to end in a real kernel, without a key and so against the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import ROOT

TOUR = ROOT / "docs" / "tour.ipynb"
FORMAT: Any = nbformat  # it has no types


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with its outputs; the kernel keeps its files in a folder that is thrown away."""
    home = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("POE_API_KEY", "POE_API_BASE"):
            patch.delenv(variable, raising=False)
        for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            patch.setenv(variable, str(home / variable.lower()))
        notebook = FORMAT.read(TOUR, as_version=4)
        NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(home)}}
        ).execute()
    return notebook


def shown(notebook: Any) -> str:
    """All outputs as text, with the Markdown that Jupyter shows of an answer."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            found.append(output.get("text") or data.get("text/markdown") or data.get("text/plain") or "")
    return "\n".join(found)


def test_every_cell_shows_what_it_is_about(executed: Any) -> None:
    text = shown(executed)
    for part in (
        "The capital of France is Paris.",
        "17 * 19 = 323",
        "get_weather",
        "14 degrees and rain",
        "City(name='Lisbon'",
    ):
        assert part in text
    assert "NotFoundError" in text


def test_answers_show_as_markdown_with_their_cost(executed: Any) -> None:
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    markdown = [output["data"]["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]
    assert any("points ($" in text and "Paris" in text for text in markdown)


def test_it_is_committed_without_outputs() -> None:
    """So that a change of it can be read as one."""
    notebook = FORMAT.read(TOUR, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]


def test_its_file_is_as_nbformat_writes_it(tmp_path: Path) -> None:
    copy = tmp_path / "tour.ipynb"
    FORMAT.write(FORMAT.read(TOUR, as_version=4), copy)
    assert copy.read_text() == TOUR.read_text()
