"""Settings as LiteLLM's documentation teaches them: each boots, or is refused for what it lacks and nothing else.

A case is a file in litellm/; its first lines say what is expected: `boots`, or `refused PATH: words` for each error;
and `warns PATH: words` for each warning.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from quoth.engine.effects import World
from quoth.gateway.generation import checked
from quoth.gateway.settings import Problem, Refused, Settings, load
from tests.gateway.settings.conftest import MASTER

CASES = sorted((Path(__file__).parent / "litellm").glob("*.yaml"))
KEYS = {
    "ANTHROPIC_API_KEY": "anthropic-key-of-tests",
    "AZURE_API_KEY": "azure-key-of-tests",
    "DATABASE_URL": "postgresql://db.example/litellm",
    "FIREWORKS_API_KEY": "fireworks-key-of-tests",
    "GROQ_API_KEY": "groq-key-of-tests",
    "LITELLM_MASTER_KEY": MASTER,
    "OPENAI_API_KEY": "openai-key-of-tests",
    "POE_API_KEY": "poe-key-of-tests",
    "REDIS_HOST": "redis.example",
    "REDIS_PASSWORD": "redis-password-of-tests",
    "REDIS_PORT": "6379",
}
WORLD = World(lambda: 0.0, lambda: datetime(2026, 4, 1, tzinfo=UTC), lambda: 0.5)


def expected(case: Path) -> tuple[bool, list[tuple[str, str]], list[tuple[str, str]]]:
    found = re.findall(r"^# (boots|refused|warns)(?: (\S+): (.+))?$", case.read_text(), re.M)
    boots = any(word == "boots" for word, _, _ in found)
    refused = [(path, words) for word, path, words in found if word == "refused"]
    warned = [(path, words) for word, path, words in found if word == "warns"]
    assert boots is not bool(refused), "a case boots or is refused"
    return boots, refused, warned


def said(problems: list[Problem], wanted: list[tuple[str, str]]) -> bool:
    """Whether these are the problems, in any order, and no others."""
    rest = list(problems)
    for path, words in wanted:
        found = next((problem for problem in rest if problem.path == path and words in problem.message), None)
        if found is None:
            return False
        rest.remove(found)
    return not rest


def outcome(file: str) -> tuple[Settings | None, list[Problem]]:
    try:
        settings = load(file, KEYS)
    except Refused as refused:
        return None, refused.problems
    return settings, list(settings.warnings)


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, tmp_path: Path) -> None:
    boots, refused, warned = expected(case)
    file = tmp_path / "config.yaml"
    shutil.copy(case, file)
    (tmp_path / "custom_callbacks.py").write_text("proxy_handler_instance = object()\n")
    settings, problems = outcome(str(file))
    assert (settings is not None) is boots, [str(problem) for problem in problems]
    errors = [problem for problem in problems if problem.severity == "error"]
    warnings = [
        problem for problem in problems if problem.severity == "warning" and "master key" not in problem.message
    ]
    assert said(errors, refused), [str(problem) for problem in errors]
    assert said(warnings, warned), [str(problem) for problem in warnings]
    for problem in problems:
        assert problem.line is not None or "master key" in problem.message
        assert "of-tests" not in problem.message
    if settings is not None:
        # Whom a bare * calls is known only when somebody calls.
        if not any(entry.litellm_params["model"] == "*" for entry in settings.models):
            assert checked(settings, KEYS, WORLD) is None, "what settings accept can be served"
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=Settings) == settings
        assert "of-tests" not in repr(settings)
