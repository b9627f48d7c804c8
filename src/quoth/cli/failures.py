"""How a command ends: its exit code, and for a failure one sentence on stderr that says what to do."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from quoth.cli import terminal
from quoth.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    PaymentRequiredError,
    QuothError,
    RateLimitError,
)

__all__ = ["EXIT_CODES", "ExitCode", "Failed", "UsageFault", "exit_code", "failing", "report", "silence"]


class ExitCode(IntEnum):
    OK = 0
    FAILURE = 1
    USAGE = 2
    AUTHENTICATION = 3
    LIMIT = 4
    NO_ANSWER = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_CODES = {
    ExitCode.OK: "done",
    ExitCode.FAILURE: "the provider said no, or anything else that has no code of its own",
    ExitCode.USAGE: "the command line is wrong, or the call cannot be sent as asked for",
    ExitCode.AUTHENTICATION: "the key is missing or was refused",
    ExitCode.LIMIT: "rate limit, or out of points",
    ExitCode.NO_ANSWER: "no answer: no connection, a deadline, a stream that broke",
    ExitCode.INTERRUPTED: "ended by Ctrl-C",
    ExitCode.BROKEN_PIPE: "the reader of the output left",
}


class UsageFault(Exception):
    """What was asked for cannot be done; the message is one sentence for the user."""


class Failed(Exception):
    """A command has failed and has said so; only its exit code is left to hand on."""

    def __init__(self, code: ExitCode):
        super().__init__(code)
        self.code = code


def exit_code(error: BaseException) -> ExitCode:
    if isinstance(error, AuthenticationError):
        return ExitCode.AUTHENTICATION
    if isinstance(error, RateLimitError | PaymentRequiredError | BudgetExceededError):
        return ExitCode.LIMIT
    if isinstance(error, APIConnectionError):
        return ExitCode.NO_ANSWER
    if isinstance(error, UsageFault) or (isinstance(error, BadRequestError) and not _was_answered(error)):
        return ExitCode.USAGE
    return ExitCode.FAILURE


def _was_answered(error: QuothError) -> bool:
    """Whether it is a provider who said no, or Quoth before anything was sent."""
    return any(attempt.status_code is not None for attempt in error.attempts)


@contextmanager
def failing(*, json: bool = False, debug: bool = False) -> Iterator[None]:
    """Turn an error of the block into its sentence and its code; with `json` also into a document on stdout."""
    try:
        yield
    except Failed:
        raise
    except BrokenPipeError:
        raise Failed(ExitCode.BROKEN_PIPE) from None
    except KeyboardInterrupt:
        # The cursor stands behind a half-written answer or an echoed ^C.
        if terminal.is_terminal(sys.stderr):
            terminal.write("\n", sys.stderr)
        raise Failed(ExitCode.INTERRUPTED) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        report(error, debug=debug)
        if json:
            terminal.print_json({"error": _described(error)})
        raise Failed(exit_code(error)) from None


def report(error: BaseException, *, debug: bool = False) -> None:
    """The sentence on stderr."""
    terminal.note(f"quoth: {_sentence(error, debug)}", "red")


def _sentence(error: BaseException, debug: bool) -> str:
    if isinstance(error, QuothError):
        from quoth.engine.failures import without_code

        text = without_code(error)
    elif isinstance(error, UsageFault):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror or error)
    else:
        more = "" if debug else "; --debug shows where"
        text = f"an error inside quoth, which should be reported ({type(error).__name__}: {error}){more}"
    # An error text may hold a provider's whole HTML page.
    text = " ".join(text.split())
    if len(text) > 1000 and not debug:
        text = f"{text[:1000]} … (--debug shows all of it)"
    if isinstance(error, QuothError) and error.retry_after:
        text += f" (try again in {error.retry_after:g} s)"
    return text


def _described(error: BaseException) -> dict[str, object]:
    facts = {"message": str(error), "class": type(error).__name__, "exit_code": int(exit_code(error))}
    if isinstance(error, QuothError):
        facts |= {
            name: getattr(error, name)
            for name in ("type", "code", "param", "status_code", "retry_after", "request_id", "llm_provider", "model")
        }
    return facts


def silence() -> None:
    """Let what nobody can read any more go nowhere, instead of failing in public at the interpreter's last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
