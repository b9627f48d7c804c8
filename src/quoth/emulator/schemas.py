"""An instance that fits a JSON Schema, filled with what the prompt offers.

Covers type, enum, const, properties, required, items, prefixItems, bounds of every kind, multipleOf, pattern, format,
$ref into $defs or definitions, allOf, anyOf, oneOf. What a schema leaves open is filled with text that says it is
emulated.
"""

from __future__ import annotations

import math
import re
from typing import Any

from quoth.emulator.material import Material
from quoth.emulator.patterns import example

__all__ = ["UnusableSchema", "instance"]


class UnusableSchema(ValueError):
    """What was given as a JSON Schema cannot be one."""


_DEEPEST = 12
_MOST_VALUES = 5_000
_LONGEST_TEXT = 1_000_000
_FORMATS = {
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "date-time": "2026-01-01T12:00:00Z",
    "email": "emulated@example.com",
    "uri": "https://example.com/emulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "emulated.example.com",
    "duration": "PT1H",
}
_PERSON_FIELDS = ("name", "location", "city", "place", "country", "person", "title", "subject", "topic", "address")
_PROMPT_FIELDS = ("query", "question", "prompt", "input", "text", "message", "q", "search")


def instance(schema: Any, prompt: str, *, optional: bool = True) -> Any:
    """A value that fits `schema`. Raises UnusableSchema.

    Without `optional`, properties that are not required appear only if the prompt gives them a value.
    """
    try:
        return _Filler(schema, Material(prompt), optional).fill(schema, "", 0)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise UnusableSchema(f"{type(error).__name__}: {error}") from error


class _Filler:
    def __init__(self, root: Any, material: Material, optional: bool):
        self._root = root
        self._material = material
        self._optional = optional
        self._numbers = list(material.numbers)
        self._names = list(material.names)
        self._filled = 0

    def fill(self, schema: Any, name: str, depth: int) -> Any:
        self._filled += 1
        if self._filled > _MOST_VALUES:
            raise ValueError(f"an instance has more than {_MOST_VALUES} values")
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(schema["enum"], schema.get("default"))
        for word in ("anyOf", "oneOf"):
            if schema.get(word):
                rest = {key: value for key, value in schema.items() if key != word}
                return self.fill(_merged(rest, self._branch(schema[word], depth)), name, depth + 1)
        kind = self._kind(schema, depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._number(schema, name, whole=kind == "integer")
        if kind == "boolean":
            return self._boolean(schema, name)
        return None if kind == "null" else self._string(schema, name)

    def _resolved(self, schema: Any, depth: int) -> dict[str, Any]:
        """The schema without `$ref` and `allOf`."""
        seen = 0
        while isinstance(schema, dict) and "$ref" in schema and seen < 50:
            seen += 1
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = _merged(self._target(schema["$ref"]), rest)
        if not isinstance(schema, dict):
            return {}
        if "allOf" in schema:
            whole = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                whole = _merged(whole, self._resolved(part, depth))
            return whole
        return schema

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return {}
        found: Any = self._root
        for step in reference.lstrip("#").strip("/").split("/"):
            if step:
                key = step.replace("~1", "/").replace("~0", "~")
                found = found.get(key, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}

    def _branch(self, branches: list[Any], depth: int) -> dict[str, Any]:
        """The first alternative that is a value; the plainest once the schema has become deep."""
        resolved = [self._resolved(branch, depth) for branch in branches]
        values = [branch for branch in resolved if branch.get("type") != "null"]
        if depth >= _DEEPEST:
            plain = [branch for branch in resolved if branch.get("type") not in ("object", "array")]
            return (plain or resolved)[0]
        return (values or resolved)[0]

    def _kind(self, schema: dict[str, Any], depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [one for one in kind if one != "null"]
            return str(kinds[0]) if kinds and depth < _DEEPEST else "null"
        if isinstance(kind, str):
            return kind
        if "properties" in schema or "required" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if any(word in schema for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")):
            return "number"
        return "string"

    def _choice(self, choices: list[Any], default: Any) -> Any:
        for choice in choices:
            if isinstance(choice, str) and choice and self._material.mentions(choice):
                return choice
        return default if default in choices else choices[0]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        shown = {}
        for name, inner in properties.items():
            wanted = name in required or self._material.said(name) is not None
            if wanted or (self._optional and depth < _DEEPEST):
                shown[name] = self.fill(inner, name, depth + 1)
        extra = schema.get("additionalProperties")
        for name in required:
            if name not in shown:
                shown[name] = self.fill(extra if isinstance(extra, dict) else {}, name, depth + 1)
        return shown

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        first = [self.fill(inner, name, depth + 1) for inner in schema.get("prefixItems") or ()]
        inner = schema.get("items", {})
        if inner is False:
            return first
        resolved = self._resolved(inner, depth)
        items = self._listed(resolved)
        wanted = max(least, len(items) or 1) if depth < _DEEPEST else least
        if most is not None:
            wanted = min(wanted, int(most))
        made: list[Any] = first
        for number in range(len(first), wanted):
            value = items[number] if number < len(items) else self.fill(inner, name, depth + 1)
            made.append(value)
        return _distinct(made, resolved) if schema.get("uniqueItems") else made

    def _listed(self, item: dict[str, Any]) -> list[Any]:
        """What the prompt lists, when an item can be taken from it as it is."""
        if "enum" in item:
            return [one for one in item["enum"] if isinstance(one, str) and self._material.mentions(one)]
        if item.get("type") in ("integer", "number"):
            whole = item["type"] == "integer"
            fitting = [
                number
                for number in self._material.numbers
                if _fits(number, item) and (not whole or number.is_integer())
            ]
            return [int(number) if number.is_integer() else number for number in fitting]
        if item.get("type", "string") == "string" and "properties" not in item and "anyOf" not in item:
            return [text for text in self._material.items if _text_fits(text, item)]
        return []

    def _number(self, schema: dict[str, Any], name: str, *, whole: bool) -> int | float:
        said = self._material.said(name) if name else None
        offered = [*([float(said)] if said and re.fullmatch(r"-?\d+(\.\d+)?", said) else []), *self._numbers]
        for number in offered:
            if _fits(number, schema) and (not whole or number.is_integer()):
                if number in self._numbers:
                    self._numbers.remove(number)
                return int(number) if number.is_integer() else number
        default = schema.get("default")
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            return default
        return _number_within(schema, whole)

    def _boolean(self, schema: dict[str, Any], name: str) -> bool:
        said = (self._material.said(name) or "").lower() if name else ""
        if said in ("true", "yes", "on", "false", "no", "off"):
            return said in ("true", "yes", "on")
        default = schema.get("default")
        return default if isinstance(default, bool) else True

    def _string(self, schema: dict[str, Any], name: str) -> str:
        offered: list[str | None] = [self._material.said(name) if name else None]
        if "format" in schema:
            offered += [self._material.formatted(schema["format"]), _FORMATS.get(schema["format"])]
        elif "pattern" in schema:
            offered += [*re.findall(r"[^\s\"'`,;?!]+", self._material.prompt[:2_000]), example(schema["pattern"])]
        else:
            offered += self._texts(name.lower())
        default = schema.get("default")
        offered += [default if isinstance(default, str) else None, f"emulated {name}".strip()]
        for text in offered:
            if text is not None and _text_fits(text, schema):
                if text in self._names:
                    self._names.remove(text)
                return text
        return _stretched(f"emulated {name}".strip(), schema)

    def _texts(self, name: str) -> list[str | None]:
        """Candidates by the name of the field: names and quotes first, or the whole prompt for a search."""
        quoted = self._material.quoted
        if any(name == field or name.endswith("_" + field) for field in _PROMPT_FIELDS):
            return [*quoted, self._material.prompt[:1_000] or None]
        if any(field in name for field in _PERSON_FIELDS):
            return [*self._names, *quoted]
        return [*quoted, *self._names]


def _merged(first: Any, second: Any) -> dict[str, Any]:
    """Both schemas at once: properties and required are united, else the second wins."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return dict(first) if isinstance(first, dict) else dict(second) if isinstance(second, dict) else {}
    both = {**first, **second}
    if "properties" in first and "properties" in second:
        both["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        both["required"] = list(dict.fromkeys([*first["required"], *second["required"]]))
    return both


def _bounds(schema: dict[str, Any]) -> tuple[float, float, bool, bool]:
    """Low, high, and whether each is excluded."""
    low, high = _bound(schema, "minimum", -math.inf), _bound(schema, "maximum", math.inf)
    above, below = _bound(schema, "exclusiveMinimum", -math.inf), _bound(schema, "exclusiveMaximum", math.inf)
    return max(low, above), min(high, below), above >= low, below <= high


def _bound(schema: dict[str, Any], name: str, default: float) -> float:
    """A bound of the schema; old schemas have a boolean in its place, which says nothing alone."""
    value = schema.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _fits(number: float, schema: dict[str, Any]) -> bool:
    low, high, open_low, open_high = _bounds(schema)
    step = schema.get("multipleOf")
    return (
        low <= number <= high
        and not (open_low and number == low)
        and not (open_high and number == high)
        and (not step or math.isclose(number / step, round(number / step), abs_tol=1e-9))
    )


def _number_within(schema: dict[str, Any], whole: bool) -> int | float:
    low, high, open_low, open_high = _bounds(schema)
    step = schema.get("multipleOf") or (1 if whole else None)
    if step:
        start = math.ceil(low / step) if low > -math.inf else min(1, math.floor(high / step) if high < math.inf else 1)
        value = start * step
        if open_low and value == low:
            value += step
        return int(value) if whole or value == int(value) else value
    if low > -math.inf and high < math.inf:
        return (low + high) / 2
    if low > -math.inf:
        return low + 1 if open_low else low
    if high < math.inf:
        return high - 1 if open_high else high
    return 1


def _text_fits(text: str, schema: dict[str, Any]) -> bool:
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", math.inf):
        return False
    try:
        return "pattern" not in schema or re.search(schema["pattern"], text) is not None
    except re.error:
        return True


def _stretched(text: str, schema: dict[str, Any]) -> str:
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if least > _LONGEST_TEXT:
        raise ValueError(f"a text has more than {_LONGEST_TEXT} characters")
    text += " emulated" * max(0, math.ceil((least - len(text)) / len(" emulated")))
    return text if most is None else text[: int(most)]


def _distinct(values: list[Any], item: dict[str, Any]) -> list[Any]:
    """The values without repetition; a repeated one is changed if its schema leaves room, else it goes."""
    kept: list[Any] = []
    for value in values:
        tries = 0
        while value in kept and tries < 100:
            tries += 1
            if "enum" in item:
                free = [choice for choice in item["enum"] if choice not in kept]
                value = free[0] if free else value
            elif isinstance(value, str) and "pattern" not in item and "format" not in item:
                value = f"{value} {len(kept) + 1}"
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                value += item.get("multipleOf") or 1
            else:
                break
        if value not in kept:
            kept.append(value)
    return kept
