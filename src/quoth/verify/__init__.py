"""Is what Quoth believes about Poe still so? Facts as data, and probes that ask.

`facts` are the claims, `asking` is one request and its price, `probes` and `surfaces` ask and judge, `report` is what
can be sent on.
"""

from __future__ import annotations

from quoth.verify.asking import Asker, Exchange
from quoth.verify.facts import Fact, facts, table
from quoth.verify.report import PROBES, Finding, Run, Verdict, cases, verify

__all__ = ["PROBES", "Asker", "Exchange", "Fact", "Finding", "Run", "Verdict", "cases", "facts", "table", "verify"]
