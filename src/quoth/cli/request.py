"""From the words of a command line to what a call takes: messages, pictures, parameters."""

from __future__ import annotations

import base64
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from quoth.cli.failures import UsageFault

__all__ = ["as_text", "messages", "parameters", "picture", "piped_text"]

# Bytes that a picture begins with. WebP: RIFF, four bytes of length, WEBP.
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)

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
            f"standard input is not UTF-8 text (byte {error.start}); a picture is sent with --image FILE"
        ) from None


def messages(prompt: str, system: str | None, images: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if system:
        found.append({"role": "system", "content": as_text(system)})
    found.append(user_message(prompt, images))
    return found


def user_message(prompt: str, images: Sequence[str]) -> dict[str, Any]:
    if not images:
        return {"role": "user", "content": prompt}
    text = [{"type": "text", "text": prompt}] if prompt else []
    pictures = [{"type": "image_url", "image_url": {"url": picture(image)}} for image in images]
    return {"role": "user", "content": [*text, *pictures]}


def picture(image: str) -> str:
    """The address of a picture: as given, or a file as a data URL. Raises UsageFault."""
    if image.lower().startswith(("http://", "https://", "data:image/")):
        return image
    try:
        data = Path(image).expanduser().read_bytes()
    except OSError as error:
        raise UsageFault(f"cannot read the picture {image}: {error.strerror or error}") from None
    kind = _kind(data)
    if kind is None:
        raise UsageFault(f"{image} is not a picture that can be sent: PNG, JPEG, GIF or WebP")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


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
