"""What is wrong with settings, and where: collected, so that all of it is said at once."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from quoth.errors import QuothError

__all__ = ["NOWHERE", "UNLISTED", "Place", "Problem", "Problems", "Refused", "at"]

# A shorter value is no secret, and would be found within words.
_SHORTEST_HIDDEN = 4
Severity = Literal["error", "warning"]
UNLISTED = "unlisted_model"


class Place(NamedTuple):
    """Where a value was written. Lines and columns count from 1; None where there is no such thing."""

    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part is not None)


NOWHERE = Place()


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong. `path` is the way to the value: "model_list[0].litellm_params.api_key". `code` tells a
    kind of which there may be many, which a log says as one: UNLISTED, a model that the catalogue does not have."""

    severity: Severity
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str = ""
    code: str | UnsetType = UNSET

    def __str__(self) -> str:
        place = str(Place(self.file, self.line, self.column))
        said = f"warning: {self.message}" if self.severity == "warning" else self.message
        return ": ".join(part for part in (place, self.path, said) if part)


class Refused(QuothError):
    """Settings that nothing is served with. `problems` has every error and warning, in the order of the file."""

    slug = "settings_refused"

    def __init__(self, problems: list[Problem]):
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Problems:
    """Collects problems. `strict` makes an error of every warning about a key that is unknown."""

    def __init__(self, *, strict: bool = False):
        self.strict = strict
        self._found: list[Problem] = []
        self._hidden: dict[str, str] = {}

    def hide(self, value: str, variable: str) -> None:
        """Let no message show a value that came from the environment, whatever it was given for."""
        if len(value) >= _SHORTEST_HIDDEN:
            self._hidden[value] = f"<the value of {variable}>"

    def error(self, place: Place, path: str, message: str) -> None:
        self._found.append(Problem("error", message, *place, path))

    def warning(self, place: Place, path: str, message: str, code: str | UnsetType = UNSET) -> None:
        self._found.append(Problem("warning", message, *place, path, code))

    def unknown(self, place: Place, path: str, message: str) -> None:
        """A key of which nothing is known: a warning, under `strict` an error."""
        (self.error if self.strict else self.warning)(place, path, message)

    @property
    def errors(self) -> bool:
        return any(problem.severity == "error" for problem in self._found)

    def all(self) -> list[Problem]:
        """In the order of the files and lines; what has no place comes last. Said twice counts once."""
        order = {file: number for number, file in enumerate(dict.fromkeys(problem.file for problem in self._found))}
        found = list(dict.fromkeys(map(self._shown, self._found)))
        return sorted(found, key=lambda one: (one.line is None, order[one.file], one.line or 0, one.column or 0))

    def _shown(self, problem: Problem) -> Problem:
        message = problem.message
        for value in sorted(self._hidden, key=len, reverse=True):
            if value in message:
                message = message.replace(value, self._hidden[value])
        return problem if message is problem.message else replace(problem, message=message)


def at(path: str, step: str | int) -> str:
    """The path one step further: `at("a", "b")` is "a.b", `at("a", 0)` is "a[0]"."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step
