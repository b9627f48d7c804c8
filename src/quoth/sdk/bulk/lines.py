"""The input of a batch, one line at a time: OpenAI's batch format, simple JSON lines, or CSV.

What is wrong with a line becomes its `problem`, an error in its place; nothing of it stops the others.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from quoth.providers.controls import CONTROLS

__all__ = ["Defaults", "InputFault", "Line", "read"]

LONGEST = 64 * 1024 * 1024
_ENDPOINT = "/v1/chat/completions"
_BOM = b"\xef\xbb\xbf"
_NAMES = ("prompt", "messages", "system", "custom_id", "model")
# A file may come from anybody: of the keywords that steer a call it may hold those that neither name a host nor a key.
_ALLOWED = frozenset(
    "additional_drop_params allowed_openai_params disable_quirks drop_params max_retries num_retries request_timeout "
    "strict timeout".split()
)
_REFUSED = frozenset(CONTROLS) - _ALLOWED


class InputFault(Exception):
    """The input as a whole cannot be read; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for lines that do not say otherwise.

    `model` is for lines that name none; with `instead` it also takes the place of the model in lines of OpenAI's
    format, where one has to stand. `params` are keywords of the call.
    """

    model: str
    instead: bool = False
    system: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One call. `number` counts from 0, without empty lines. `id` is the same for the same line in every run."""

    number: int
    id: str
    custom_id: str
    model: str = ""
    messages: Any = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read(path: Path, defaults: Defaults) -> Iterator[Line]:
    """The lines, read from disk as they are asked for. Raises InputFault, and OSError when the file cannot be read."""
    if _is_csv(path):
        for number, row in enumerate(_csv_rows(path)):
            yield _line(number, row, msgspec.json.encode(row), defaults)
        return
    for number, raw in enumerate(_raw_lines(path)):
        try:
            data = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield _broken(number, raw, "" if len(raw) <= LONGEST else "longer than 64 MiB", str(error))
        else:
            yield _line(number, data, raw, defaults)


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _raw_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        first = True
        while raw := file.readline(LONGEST + 1):
            whole = raw
            while not raw.endswith(b"\n") and (raw := file.readline(LONGEST)):
                pass  # the rest of a line that is too long anyway
            if first:
                first, whole = False, whole.removeprefix(_BOM)
            if whole.strip():
                yield whole


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(LONGEST)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        try:
            if "prompt" not in (rows.fieldnames or ()):
                names = ", ".join(rows.fieldnames or ()) or "none"
                raise InputFault(f"{path} has no column named prompt; its columns are {names}")
            for row in rows:
                yield {name: row[name] for name in _NAMES if row.get(name)}
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputFault(f"{path} cannot be read as CSV near line {rows.line_num}: {error}") from None


def _line(number: int, data: Any, raw: bytes, defaults: Defaults) -> Line:
    if not isinstance(data, dict):
        return _broken(number, raw, "not a JSON object")
    given = dict(data)
    custom_id = given.pop("custom_id", None)
    if custom_id is None:
        custom_id = f"line-{number + 1}"
    if not isinstance(custom_id, str):
        return _broken(number, raw, f"custom_id is {custom_id!r}, which is not a text")
    openai = "body" in given
    problem = _openai_problem(given) if openai else None
    if problem is not None:
        return _broken(number, raw, problem, custom_id=custom_id)
    params = dict(defaults.params) | (given["body"] if openai else given)
    own_model, messages, system = params.pop("model", None), params.pop("messages", None), defaults.system
    if not openai:
        prompt, system = params.pop("prompt", None), params.pop("system", None) or defaults.system
        problem = _prompt_problem(prompt, messages)
        messages = [{"role": "user", "content": prompt}] if messages is None else messages
    if system and isinstance(messages, list) and not any(_is_system(message) for message in messages):
        messages = [{"role": "system", "content": system}, *messages]
    model = own_model if own_model is not None and not (openai and defaults.instead) else defaults.model
    problem = problem or _params_problem(params, model)
    if problem is not None:
        return _broken(number, raw, problem, custom_id=custom_id)
    params.pop("stream", None)
    said = msgspec.json.encode([number, custom_id, model, messages, params], order="sorted")
    return Line(number, _id(said), custom_id, model, messages, params)


def _openai_problem(given: Mapping[str, Any]) -> str | None:
    if not isinstance(given["body"], dict):
        return "body is not an object"
    method, url = given.get("method", "POST"), given.get("url", _ENDPOINT)
    if method != "POST":
        return f"method is {method!r}; it has to be POST"
    if url != _ENDPOINT:
        return f"url is {url!r}; a batch can ask {_ENDPOINT} alone"
    return None


def _prompt_problem(prompt: Any, messages: Any) -> str | None:
    if (prompt is None) == (messages is None):
        return "there has to be either prompt or messages, or a body in OpenAI's format"
    if messages is None and not isinstance(prompt, str):
        return f"prompt is {type(prompt).__name__}; it has to be a text"
    return None


def _params_problem(params: Mapping[str, Any], model: Any) -> str | None:
    if not isinstance(model, str) or not model:
        return f"model is {model!r}; it has to be a name"
    if params.get("stream"):
        return "stream is set; a batch is not streamed"
    return next((f"{name} may not stand in a line of a batch" for name in params if name in _REFUSED), None)


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")


def _broken(number: int, raw: bytes, problem: str, detail: str = "", *, custom_id: str = "") -> Line:
    said = problem or f"not JSON: {detail}"
    return Line(number, _id(b"%d %b" % (number, raw)), custom_id or f"line-{number + 1}", problem=said)


def _id(said: bytes) -> str:
    return f"batch_req_{hashlib.sha256(said).hexdigest()[:32]}"
