"""For all tests: Ctrl-C works, also when they are started where it is ignored.

A shell starts its background jobs with SIGINT ignored, and programs inherit that; then no test of an interrupt passes.
"""

from __future__ import annotations

import signal
import threading

if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
