"""Values from the environment: `os.environ/NAME`, secrets in files (`NAME_FILE`), and what cannot be a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from quoth.gateway.settings.document import Node
from quoth.gateway.settings.problems import NOWHERE, Place, Problems, at

__all__ = ["PREFIX", "Variables", "is_placeholder", "is_secret"]

PREFIX = "os.environ/"
_MAX_SECRET = 64 << 10
_SECRET = re.compile(r"(api_?key|master_key|salt_key|secret|password|passwd|token|authorization|private_key)$", re.I)
_SECRET_VARIABLE = re.compile(r"(KEY|SECRET|PASSWORD|TOKEN)(_\d+)?$", re.I)
_PLACEHOLDER = re.compile(
    r"""(change[-_ ]?(me|this|it)|replace[-_ ]?(me|this)|(sk-|your|my|the|insert|enter|put|add)?[-_ ]*your[-_ ].*
        |(sk-)?<.*>|\[.*]|\{.*}|\$\{?\w+}?|(sk-)?(…|[x.*-]{3,})|todo|tbd|fixme|placeholder|secret|password|example)""",
    re.I | re.X,
)
_OTHER_WAYS = re.compile(r"(?:\$\{?(?:env:)?|\{\{?\s*(?:env\.)?|env[/.:]|os\.environ[.:])(\w+)\s*(?:}}?)?$")


def is_secret(name: str) -> bool:
    """Whether a key of this name holds a secret."""
    return _SECRET.search(name) is not None


def is_placeholder(value: str) -> bool:
    """Whether a value stands where somebody was to put a secret, such as "changeme"."""
    return _PLACEHOLDER.fullmatch(value.strip()) is not None


class Variables:
    """The environment as the settings see it. `files` are the NAME_FILE files that were read."""

    def __init__(self, environment: Mapping[str, str], problems: Problems):
        self._environment = environment
        self._problems = problems
        self.own: dict[str, str] = {}
        self.files: list[str] = []
        self._read: dict[str, str | None] = {}

    def get(self, name: str, place: Place = NOWHERE, path: str = "") -> str | None:
        """The value of a variable, or of the file that NAME_FILE names; None if there is neither, or it is blank."""
        for known in (self.own, self._environment):
            value = known.get(name, "").strip()
            if value:
                return value
        file = self.own.get(f"{name}_FILE") or self._environment.get(f"{name}_FILE", "").strip()
        return self._from_file(name, file, place, path) if file else None

    def _from_file(self, name: str, file: str, place: Place, path: str) -> str | None:
        if name not in self._read:
            self._read[name] = None
            try:
                with open(file, "rb") as opened:
                    data = opened.read(_MAX_SECRET + 1)
                self._read[name] = data.decode().strip() if len(data) <= _MAX_SECRET else None
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8"
                self._problems.error(place, path, f"{name}_FILE names {file}, which cannot be read: {reason}")
            else:
                self.files.append(file)
                if not self._read[name]:
                    self._problems.error(place, path, f"{name}_FILE names {file}, which is blank or far too long")
        return self._read[name] or None

    def names_file(self, name: str) -> bool:
        return bool(self.own.get(f"{name}_FILE") or self._environment.get(f"{name}_FILE", "").strip())

    def fill(self, node: Node, path: str, name: str = "") -> Node:
        """The tree with every `os.environ/NAME` replaced. What is missing, or no secret, is reported and left blank."""
        value = node.value
        if isinstance(value, dict):
            entries = {key: self.fill(item, at(path, key), key) for key, item in value.items()}
            return replace(node, value=entries)
        if isinstance(value, list):
            return replace(node, value=[self.fill(item, at(path, number), name) for number, item in enumerate(value)])
        if not isinstance(value, str):
            return node
        if value.startswith(PREFIX):
            return self._filled(node, value.removeprefix(PREFIX).strip(), path, name)
        if is_secret(name):
            self._judge_literal(node, value, path)
        return node

    def _filled(self, node: Node, variable: str, path: str, name: str) -> Node:
        if not variable:
            self._problems.error(node.place, path, "os.environ/ is followed by the name of a variable")
            return replace(node, value=None)
        value = self.get(variable, node.place, path)
        if value is not None:
            self._problems.hide(value, variable)
        if value is None:
            if not self.names_file(variable):
                self._problems.error(node.place, path, f"the environment variable {variable} is not set, or blank")
        elif (is_secret(name) or _SECRET_VARIABLE.search(variable)) and is_placeholder(value):
            self._problems.error(node.place, path, f"{variable} holds a placeholder; set it to the real value")
        return replace(node, value=value, variable=variable)

    def _judge_literal(self, node: Node, value: str, path: str) -> None:
        if (found := _OTHER_WAYS.match(value.strip())) is not None:
            self._problems.error(node.place, path, f"write os.environ/{found[1]} to take it from the environment")
        elif not value.strip():
            self._problems.error(node.place, path, "it is blank; write the key, or os.environ/NAME")
        elif is_placeholder(value):
            self._problems.error(node.place, path, "it is a placeholder; write the real value, or os.environ/NAME")
