from __future__ import annotations

from pathlib import Path

import pytest

from quoth.gateway.settings import Problem, Refused, Settings, load

MASTER = "sk-a-master-key-of-tests-4711"
KEYS = {"POE_API_KEY": "poe-key-of-tests", "OPENAI_API_KEY": "openai-key-of-tests", "QUOTH_MASTER_KEY": MASTER}
ONE = """\
model_list:
  - model_name: one
    litellm_params: {model: poe/Claude-Sonnet-4.6}
"""


class Written:
    """Settings files in a folder of their own, and what becomes of them."""

    def __init__(self, folder: Path):
        self.folder = folder

    def file(self, text: str, name: str = "config.yaml") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def load(self, text: str, *, strict: bool = False, **environment: str) -> Settings:
        return load(self.file(text), {**KEYS, **environment}, strict=strict)

    def problems(self, text: str, *, strict: bool = False, **environment: str) -> list[Problem]:
        """The errors that it is refused for."""
        with pytest.raises(Refused) as caught:
            self.load(text, strict=strict, **environment)
        return [problem for problem in caught.value.problems if problem.severity == "error"]

    def errors(self, text: str, *, strict: bool = False, **environment: str) -> list[str]:
        """The same, each as "LINE:COLUMN PATH: MESSAGE"."""
        return [
            f"{problem.line}:{problem.column} {problem.path}: {problem.message}"
            for problem in self.problems(text, strict=strict, **environment)
        ]

    def error(self, text: str, **environment: str) -> str:
        (only,) = self.errors(text, strict=False, **environment)
        return only


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)
