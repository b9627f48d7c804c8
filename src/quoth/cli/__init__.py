"""The command `quoth`. Every room may be imported here, but only once a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without `arguments` that of the process) and return its exit code."""
    try:
        from quoth.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        print(
            f'quoth: the commands need {error.name}, which is not installed: run pip install "quoth[cli]"',
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    return run(sys.argv[1:] if arguments is None else list(arguments))
