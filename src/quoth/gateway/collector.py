"""Python's garbage collector, told what a server is like: what was made at the start stays, what a request makes is
freed by its counts, and cycles are rare. Left as it is, it walks the whole catalogue again and again, which is a tenth
of the processor time of a request."""

from __future__ import annotations

import gc

__all__ = ["settled"]

# Objects made and not freed before the youngest are looked through. A request keeps some hundred at a time.
_YOUNGEST = 20_000


def settled() -> None:
    """What is there now will stay for long; leave it out of the walks from now on."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, 20, 50)
