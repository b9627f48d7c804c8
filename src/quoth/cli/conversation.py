"""`quoth chat` without a prompt: a conversation on the terminal. Ctrl-C stops the running answer, Ctrl-D leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from quoth.cli import terminal
from quoth.cli.answers import Shown, Told, told, total_text
from quoth.cli.chat import report
from quoth.cli.failures import UsageFault
from quoth.cli.failures import report as report_error
from quoth.cli.names import model_name
from quoth.cli.request import as_text, attached, picture, user_message
from quoth.errors import QuothError, StreamInterrupted
from quoth.sdk.client import Client

__all__ = ["Conversation"]

PROMPT, MORE = "> ", ". "
_FENCE = '"""'
_ALONG = {"image_url": "*(a picture)*"}

_HELP = """\
/model [NAME]   show the model, or take another from here on
/system [TEXT]  show the system message, or set it; /system - removes it
/image FILE     send a picture with the next message; a file or an http(s) address
/file FILE      send any file with the next message
/clear          forget what was said
/save FILE      write the conversation: JSON if FILE ends in .json, else Markdown
/quit           leave, as Ctrl-D does
Ctrl-C          stop the running answer
\"\"\"             begin, and end, a message of several lines
A message that begins with / is sent if a space stands before it.
"""


class Conversation:
    """What was said so far and with which model; `run` goes on until the user leaves."""

    def __init__(
        self,
        model: str,
        system: str | None,
        parts: Sequence[dict[str, Any]],
        keywords: Mapping[str, Any],
        *,
        stream: bool,
        show_reasoning: bool,
        quiet: bool,
        debug: bool,
    ):
        self._model = model
        self._system = as_text(system) if system else None
        self._parts = list(parts)  # what goes along with the next message
        self._keywords = keywords
        self._stream = stream and keywords.get("n", 1) == 1
        self._show_reasoning = show_reasoning
        self._quiet = quiet
        self._debug = debug
        self._said: list[dict[str, Any]] = []
        self._answers: list[Told] = []
        self._written: set[Path] = set()
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/model": self._choose_model,
            "/system": self._set_system,
            "/image": partial(self._add, picture),
            "/file": partial(self._add, attached),
            "/clear": self._clear,
            "/save": self._save,
        }

    def run(self) -> None:
        _edit_lines()
        terminal.note(f"{self._model}. /help lists the commands, Ctrl-D leaves.")
        with Client() as client:
            while (message := _read()) is not None:
                word, _, rest = message.partition(" ")
                if word in ("/quit", "/exit"):
                    break
                if not message.strip():
                    continue
                try:
                    if message.startswith("/"):
                        self._command(word, rest.strip())
                    else:
                        self._turn(client, message.strip())
                except (QuothError, UsageFault, OSError) as error:
                    if isinstance(error, BrokenPipeError):
                        raise
                    report_error(error, debug=self._debug)
        self._farewell()

    def _turn(self, client: Client, text: str) -> None:
        question = user_message(text, self._parts)
        system = [{"role": "system", "content": self._system}] if self._system else []
        shown = Shown(self._show_reasoning)
        try:
            answer = told(
                client, self._model, [*system, *self._said, question], self._keywords, stream=self._stream, shown=shown
            )
        except KeyboardInterrupt:
            terminal.note("Stopped.")
            self._keep(question, shown.text)
            return
        except StreamInterrupted:
            self._keep(question, shown.text)
            raise
        self._answers.append(answer)
        self._keep(question, answer.text)
        report(answer, quiet=self._quiet)

    def _keep(self, question: dict[str, Any], text: str) -> None:
        """A question without an answer is forgotten: models want the two to alternate."""
        if text:
            self._said += [question, {"role": "assistant", "content": text}]
            self._parts = []

    def _command(self, word: str, rest: str) -> None:
        command = self._commands.get(word)
        if command is None:
            raise UsageFault(f"there is no command {word}; /help lists them, and a space before the / sends it")
        command(rest)

    def _help(self, rest: str) -> None:
        terminal.write(_HELP, sys.stderr)

    def _choose_model(self, rest: str) -> None:
        if rest:
            self._model = model_name(rest)
        terminal.note(f"The model is {self._model}.")

    def _set_system(self, rest: str) -> None:
        if rest:
            self._system = None if rest == "-" else rest
        terminal.note(f"The system message is: {self._system}" if self._system else "There is no system message.")

    def _add(self, part: Callable[[str], dict[str, Any]], rest: str) -> None:
        if not rest:
            raise UsageFault("/image and /file need a file or an http(s) address")
        self._parts.append(part(rest))
        terminal.note(f"{rest} goes with the next message.")

    def _clear(self, rest: str) -> None:
        self._said, self._parts = [], []
        terminal.note("Forgotten; the model and the system message stay.")

    def _save(self, rest: str) -> None:
        if not rest:
            raise UsageFault("/save needs the name of a file")
        path = Path(rest).expanduser()
        as_json = path.suffix.lower() == ".json"
        data = self._as_json() if as_json else self._as_markdown().encode("utf-8", "replace")
        try:
            # Never over somebody else's file; over this conversation's own, yes.
            with path.open("wb" if path.absolute() in self._written else "xb") as file:
                file.write(data)
        except FileExistsError:
            raise UsageFault(f"{path} exists already; choose another name") from None
        self._written.add(path.absolute())
        terminal.note(f"Saved to {path}.")

    def _as_json(self) -> bytes:
        system = [{"role": "system", "content": self._system}] if self._system else []
        value = {"model": self._model, "messages": [*system, *self._said]}
        return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"

    def _as_markdown(self) -> str:
        parts = [f"# A conversation with {self._model}"]
        if self._system:
            parts.append(f"**System**\n\n{self._system}")
        for message in self._said:
            name = "You" if message["role"] == "user" else "Model"
            parts.append(f"**{name}**\n\n{_words(message['content'])}")
        return "\n\n".join(parts) + "\n"

    def _farewell(self) -> None:
        if self._quiet or len(self._answers) < 2:
            return
        terminal.note(f"{len(self._answers)} answers, {total_text([answer.cost for answer in self._answers])}.")


def _words(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part.get("text") or _ALONG.get(part["type"], "*(a file)*") for part in content)


def _edit_lines() -> None:
    """Arrow keys and history, where Python has readline; nothing is written to a file."""
    try:
        import readline  # noqa: F401  (importing it is what makes input() edit lines)
    except ImportError:
        pass


def _read() -> str | None:
    """The next message; None at Ctrl-D. Ctrl-C throws away the line that was begun."""
    try:
        line = as_text(_line(PROMPT))
        if not line.lstrip().startswith(_FENCE):
            return line
        lines = [line.lstrip().removeprefix(_FENCE)]
        while _FENCE not in lines[-1]:
            lines.append(as_text(_line(MORE)))
        lines[-1] = lines[-1].partition(_FENCE)[0]
        # The leading space keeps a first line with a slash from being a command.
        return " " + "\n".join(lines).strip()
    except EOFError:
        terminal.write("\n", sys.stderr)
        return None
    except KeyboardInterrupt:
        terminal.note("\nCtrl-D leaves.")
        return ""


def _line(prompt: str) -> str:
    if terminal.is_terminal(sys.stdout):
        return input(prompt)
    # Answers go to a file: the prompt does not belong there.
    terminal.write(prompt, sys.stderr)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
