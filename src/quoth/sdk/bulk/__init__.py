"""A file of prompts worked through: read from disk as it goes, paced, journalled, resumed, written in order.

`lines` reads the input, `journal` remembers what is finished, `cap` bounds the cost of the calls,
`run` makes them.
"""

from __future__ import annotations

from quoth.sdk.bulk.cap import Cap
from quoth.sdk.bulk.journal import Journal, JournalFault
from quoth.sdk.bulk.lines import Defaults, InputFault, Line, read
from quoth.sdk.bulk.run import Bulk, Tally

__all__ = ["Bulk", "Cap", "Defaults", "InputFault", "Journal", "JournalFault", "Line", "Tally", "read"]
