"""Python's garbage collector and the C library's allocator, told what a server is like."""

from __future__ import annotations

import ctypes
import gc

__all__ = ["settled", "thrifty"]

# Objects made and not freed before the youngest are looked through. A request keeps some hundred at a time.
_YOUNGEST = 20_000
# What mallopt(3) calls its parameters, and their values in bytes.
_TRIM_THRESHOLD, _KEPT = -1, 8 << 20
_MMAP_THRESHOLD, _MAPPED = -3, 1 << 20


def settled() -> None:
    """What is there now will stay for long; leave it out of the walks from now on.

    What was made at the start stays, what a request makes is freed by its counts, and cycles are rare. Left as it is,
    the collector walks the whole catalogue again and again, which is a tenth of the processor time of a request.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, 20, 50)


def thrifty() -> None:
    """Keep some free memory for the next body instead of giving it back after each.

    Left as it is, glibc returns the pages of a body to the system and takes them anew for the next one, page by page:
    a third of the processor time of a request of 200 kB. Other C libraries have their own ways.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, _KEPT)
    mallopt(_MMAP_THRESHOLD, _MAPPED)
