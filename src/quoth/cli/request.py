"""From the words of a command line to what a call takes: messages, pictures, parameters."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from quoth.cli.failures import UsageFault
from quoth.errors import BadRequestError
from quoth.sdk.attachments import attach

__all__ = ["as_text", "attached", "messages", "parameters", "picture", "piped_text", "user_message"]

_TAKEN = {
    "model": "use --model",
    "messages": "use the prompt and --system",
    "stream": "use --stream or --no-stream",
    "client": "it is an object of a Python program",
}


def as_text(argument: str) -> str:
    """An argument of the command line as proper text, also where the locale is not UTF-8."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return os.fsencode(argument).decode("utf-8", "replace")
    return argument


def piped_text() -> str | None:
    """What was piped in; None when nothing was, as on a terminal or with /dev/null."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed
        return None
    if stat.S_ISCHR(mode):
        return None
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageFault(
            f"standard input is not UTF-8 text (byte {error.start}); anything else is sent with --file FILE"
        ) from None


def messages(prompt: str, system: str | None, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if system:
        found.append({"role": "system", "content": as_text(system)})
    found.append(user_message(prompt, parts))
    return found


def user_message(prompt: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A message with what goes along: `parts` are content parts."""
    if not parts:
        return {"role": "user", "content": prompt}
    return {"role": "user", "content": [*([{"type": "text", "text": prompt}] if prompt else ()), *parts]}


def picture(image: str) -> dict[str, Any]:
    """A picture as a content part: an address as it is given, or a file. Raises UsageFault."""
    part = _part(image, fetch=False)
    if part["type"] != "image_url":
        raise UsageFault(f"{image} is not a picture that can be sent: PNG, JPEG, GIF or WebP; --file sends any file")
    return part


def attached(file: str) -> dict[str, Any]:
    """Any file as a content part, also from an http(s) address, which is fetched. Raises UsageFault, QuothError."""
    return _part(file, fetch=True)


def _part(source: str, *, fetch: bool) -> dict[str, Any]:
    is_address = source.lower().startswith(("http://", "https://", "data:"))
    try:
        return attach(source if is_address else os.path.expanduser(source), fetch=fetch)
    except OSError as error:
        raise UsageFault(f"cannot read {source}: {error.strerror or error}") from None
    except BadRequestError as error:
        more = "; --file fetches and sends any file" if is_address and not fetch else ""
        raise UsageFault(f"{error.message}{more}") from None


def parameters(named: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """The keywords of the call: options with a value, then NAME=VALUE pairs. Raises UsageFault."""
    found = {name: value for name, value in named.items() if value is not None}
    for pair in pairs:
        name, equals, value = as_text(pair).partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageFault(f"--param {pair!r} is not NAME=VALUE, such as -p aspect_ratio=16:9")
        if name in _TAKEN:
            raise UsageFault(f"--param {name} is not possible: {_TAKEN[name]}")
        if name in found:
            raise UsageFault(f"{name} is given twice")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
