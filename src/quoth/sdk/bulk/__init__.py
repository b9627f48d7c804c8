"""A file of prompts worked through: read from disk as it goes, paced, journalled, resumed, written in order.

`lines` reads the input, `journal` remembers what is finished, `run` makes the calls, under a budget if there is a cap.
"""

from __future__ import annotations

from quoth.sdk.bulk.journal import Journal, JournalFault
from quoth.sdk.bulk.lines import Defaults, InputFault, Line, read
from quoth.sdk.bulk.run import Bulk, Tally

__all__ = ["Bulk", "Defaults", "InputFault", "Journal", "JournalFault", "Line", "Tally", "read"]
