"""The command `quoth`. Every room may be imported here, but only once a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without `arguments` that of the process) and return its exit code."""
    for package in ("typer", "rich"):
        if find_spec(package) is None:
            sentence = f'the commands need {package}, which is not installed: run pip install "quoth[cli]"'
            print(f"quoth: {sentence}", file=sys.stderr)
            return 1
    try:
        from quoth.cli.app import run

        return run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        return 130
