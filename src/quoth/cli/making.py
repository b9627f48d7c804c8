"""`quoth image`, `quoth speak`, `quoth video` and `quoth transcribe`: one call to a media model, and the files of its
answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quoth.cli import terminal
from quoth.cli.answers import Shown, Told, document, made_line, told
from quoth.cli.failures import UsageFault
from quoth.cli.names import model_name
from quoth.cli.request import as_text, attached, parameters, piped_text, user_message
from quoth.errors import APIError
from quoth.media import Kind, Media
from quoth.sdk.client import Client
from quoth.sdk.media import download

__all__ = ["DEFAULTS", "make", "transcribe"]

# Among the cheapest of the list of 1 April 2026 that are known to answer: 0.014 USD a picture and 0.006 USD a text
# spoken; of films and their likes Poe's list has no price. Gemini writes down what it hears at prices for tokens.
DEFAULTS = {
    "image": "poe/Imagen-4-Fast",
    "audio": "poe/Sonic-3.0",
    "video": "poe/Veo-3.1-Lite",
    "transcript": "poe/Gemini-2.5-Flash-Lite",
}
_WRITE_DOWN = "Write down what is said in this recording, word for word, and nothing else."
_TRANSCRIBERS = ("whisper", "deepgram-nova")


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
    """Ask for a picture, a sound or a film and save it."""
    text = _prompt(prompt, kind)
    _check_free(output, force)
    name = model_name(model or DEFAULTS[kind])
    question = user_message(text, [attached(file) for file in files])
    with Client() as client:
        answer = told(
            client,
            name,
            [question],
            parameters(named, pairs),
            stream=False,
            shown=None,
        )
    found = [item for choice in _choices(answer) for item in choice.message.media]
    if not found:
        said = f": {answer.text[:300]}" if answer.text else ""
        raise APIError(f"{name} answered without any {kind}{said}")
    with terminal.waiting(f"{len(found)} {'file' if len(found) == 1 else 'files'}"):
        saved = [_saved(item, output, number, force) for number, item in enumerate(found)]
    if as_json:
        listed = [
            {"path": str(path), "kind": item.kind, "url": item.url} for path, item in zip(saved, found, strict=True)
        ]
        terminal.print_json({**document(answer), "files": listed})
        return
    for path in saved:
        terminal.write(f"{path}\n")
    _report(answer, quiet)


def transcribe(file: str, *, model: str | None, named: Mapping[str, Any], quiet: bool, as_json: bool) -> None:
    """Ask for the words of a recording."""
    name = model_name(model or DEFAULTS["transcript"])
    parts: list[Any] = [attached(file)]
    if not any(one in name.lower() for one in _TRANSCRIBERS):
        # A model for any purpose has to be told; one for this purpose would take it for part of the recording.
        parts.insert(0, {"type": "text", "text": _WRITE_DOWN})
    shown = None if as_json else Shown()
    with Client() as client:
        answer = told(
            client, name, [{"role": "user", "content": parts}], parameters(named, ()), stream=False, shown=shown
        )
    if as_json:
        terminal.print_json({**document(answer), "text": answer.text})
    else:
        _report(answer, quiet)


def _report(answer: Told, quiet: bool) -> None:
    for warning in answer.warnings:
        terminal.note(f"Warning: {warning.message}", "yellow")
    if not quiet:
        terminal.note(made_line(answer))


def _choices(answer: Told) -> Sequence[Any]:
    return answer.completion.choices if answer.completion is not None else ()


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


def _saved(item: Media, output: str | None, number: int, force: bool) -> Path:
    """The file of one item; of several in one answer, the second is called name-2."""
    if output is None:
        return download(item, None)
    path = Path(output).expanduser()
    if number and not path.is_dir():
        path = path.with_name(f"{path.stem}-{number + 1}{path.suffix}")
    return download(item, path, overwrite=force and not path.is_dir())
