"""A file of prompts worked through: read from disk as it goes, paced, journalled, resumed, written in order.

`lines` reads the input, `journal` remembers what is finished, `pace` spreads the calls over the minute, `cap` bounds
their cost, `run` makes them.
"""

from __future__ import annotations

from quoth.sdk.bulk.cap import Cap
from quoth.sdk.bulk.journal import Journal, JournalFault
from quoth.sdk.bulk.lines import Defaults, InputFault, Line, read
from quoth.sdk.bulk.pace import Pace
from quoth.sdk.bulk.run import Bulk, Tally

__all__ = ["Bulk", "Cap", "Defaults", "InputFault", "Journal", "JournalFault", "Line", "Pace", "Tally", "read"]
