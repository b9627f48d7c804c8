"""`quoth image`, `quoth speak`, `quoth video` and `quoth transcribe`: one call to a media model, and the files of its
answer."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from quoth.cli import terminal
from quoth.cli.answers import Shown, Told, costs, made_line
from quoth.cli.failures import UsageFault
from quoth.cli.names import model_name
from quoth.cli.request import as_text, parameters, piped_text
from quoth.errors import APIError
from quoth.media import Kind, Media
from quoth.results import Video
from quoth.sdk.client import Client
from quoth.sdk.content import Speech
from quoth.sdk.media import download, kept
from quoth.sdk.uploads import upload

__all__ = ["DEFAULTS", "make", "transcribe"]

# Among the cheapest of the list of 1 April 2026 that are known to answer: 0.014 USD a picture and 0.006 USD a text
# spoken; of films and their likes Poe's list has no price. Gemini writes down what it hears at prices for tokens.
DEFAULTS = {
    "image": "poe/Imagen-4-Fast",
    "audio": "poe/Sonic-3.0",
    "video": "poe/Veo-3.1-Lite",
    "transcript": "poe/Gemini-2.5-Flash-Lite",
}


def make(
    kind: Kind,
    prompt: str | None,
    *,
    model: str | None,
    output: str | None,
    force: bool,
    files: Sequence[str],
    named: Mapping[str, Any],
    pairs: Sequence[str],
    quiet: bool,
    as_json: bool,
) -> None:
    """Ask for a picture, a sound or a film and save it: by the model's own endpoint where it has one."""
    text = _prompt(prompt, kind)
    _check_free(output, force)
    name = model_name(model or DEFAULTS[kind])
    keywords = parameters(named, pairs)
    along = [_upload(file) for file in files]
    started = time.monotonic()
    with Client() as client:
        with terminal.waiting(name):
            result, items = _MAKERS[kind](client, name, text, keywords, along)
        answer = Told(name, "", None, result.cost, result.warnings, time.monotonic() - started)
        with terminal.waiting(f"{len(items)} {'file' if len(items) == 1 else 'files'}"):
            saved = [_saved(client, kind, item, output, number, force) for number, item in enumerate(items)]
    if as_json:
        listed = [
            {"path": str(path), "kind": kind, "url": _address(item)} for path, item in zip(saved, items, strict=True)
        ]
        shown = {} if isinstance(result, Speech) else result.model_dump(mode="json")
        for one in shown.get("data") or ():
            one.pop("b64_json", None)  # it is in the file
        terminal.print_json(
            {
                "model": name,
                **shown,
                "wire": result.wire,
                **costs(answer),
                "request_id": result.request_id,
                "files": listed,
            }
        )
        return
    for path in saved:
        terminal.write(f"{path}\n")
    _report(answer, quiet)


def transcribe(file: str, *, model: str | None, named: Mapping[str, Any], quiet: bool, as_json: bool) -> None:
    """Ask for the words of a recording."""
    name = model_name(model or DEFAULTS["transcript"])
    recording = _upload(file)
    started = time.monotonic()
    with Client() as client, terminal.waiting(name):
        made = client.audio.transcriptions.create(model=name, file=recording, **parameters(named, ()))
    answer = Told(name, made.text, None, made.cost, made.warnings, time.monotonic() - started)
    if as_json:
        terminal.print_json(
            {"model": name, **made.model_dump(mode="json"), **costs(answer), "request_id": made.request_id}
        )
        return
    shown = Shown()
    shown.say(made.text)
    shown.end()
    _report(answer, quiet)


_Item: TypeAlias = Media | Speech | Video


def _draw(client: Client, model: str, text: str, keywords: dict[str, Any], along: list[Any]) -> tuple[Any, list[_Item]]:
    if along:
        made = client.images.edit(model=model, prompt=text, image=along, **keywords)
    else:
        made = client.images.generate(model=model, prompt=text, **keywords)
    return made, [image.media for image in made.data]


def _speak(
    client: Client, model: str, text: str, keywords: dict[str, Any], along: list[Any]
) -> tuple[Any, list[_Item]]:
    made = client.audio.speech.create(model=model, input=text, **keywords)
    return made, [made]


def _film(client: Client, model: str, text: str, keywords: dict[str, Any], along: list[Any]) -> tuple[Any, list[_Item]]:
    begun = client.videos.create(model=model, prompt=text, input_reference=along or None, **keywords)
    done = begun if begun.status == "completed" else client.videos.poll(begun.id)
    if done.status != "completed":
        why = done.error.message if done.error is not None and done.error.message else "without saying why"
        raise APIError(f"{model} made no video: {done.status}: {why}")
    return begun, [done]


_MAKERS = {"image": _draw, "audio": _speak, "video": _film}


def _address(item: _Item) -> str | None:
    return item.url if item.url and not item.url.startswith("data:") else None


def _upload(file: str) -> Any:
    """A file as a call takes it. Raises UsageFault."""
    is_address = file.lower().startswith(("http://", "https://", "data:"))
    try:
        return file if is_address else upload(os.path.expanduser(file), "file")
    except OSError as error:
        raise UsageFault(f"cannot read {file}: {error.strerror or error}") from None


def _report(answer: Told, quiet: bool) -> None:
    for warning in answer.warnings:
        terminal.note(f"Warning: {warning.message}", "yellow")
    if not quiet:
        terminal.note(made_line(answer))


def _prompt(prompt: str | None, kind: Kind) -> str:
    piped = piped_text()
    parts = [part for part in (as_text(prompt) if prompt is not None else None, piped) if part and part.strip()]
    if not parts:
        command = {"image": "image", "audio": "speak", "video": "video"}[kind]
        raise UsageFault(f'there is no text: give one, as in quoth {command} "...", or pipe it in')
    return "\n\n".join(parts)


def _check_free(output: str | None, force: bool) -> None:
    """Nothing is paid for that could not be saved."""
    if output is None:
        return
    path = Path(output).expanduser()
    if path.is_file() and not force:
        raise UsageFault(f"{output} is there already; --force replaces it")
    if not path.is_dir() and not path.parent.is_dir():
        raise UsageFault(f"there is no folder {path.parent}")


def _saved(client: Client, kind: Kind, item: _Item, output: str | None, number: int, force: bool) -> Path:
    """The file of one item; of several in one answer, the second is called name-2."""
    path = None if output is None else Path(output).expanduser()
    if path is not None and number and not path.is_dir():
        path = path.with_name(f"{path.stem}-{number + 1}{path.suffix}")
    overwrite = force and path is not None and not path.is_dir()
    if isinstance(item, Media):
        return download(item, path, overwrite=overwrite)
    if isinstance(item, Speech):
        return kept(item, kind, path, item.url or sha256(item.content).hexdigest(), overwrite=overwrite)
    content = client.videos.download_content(item.id)
    try:
        return kept(content, kind, path, item.url or item.id, overwrite=overwrite)
    finally:
        content.close()
