"""The same callers and servers as in the tests of failures."""

from __future__ import annotations

from tests.faults.conftest import another, caller, caller_type, calling, no_settings, no_thread_left, server, stream

__all__ = ["another", "caller", "caller_type", "calling", "no_settings", "no_thread_left", "server", "stream"]
