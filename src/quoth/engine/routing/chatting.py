"""A chat call for one candidate, as `routed` wants it."""

from __future__ import annotations

from functools import partial

from quoth.call import Target
from quoth.engine.attempts import Answer, Plan, interpreted, prepared, reader_of
from quoth.engine.effects import Failed, Opened, World
from quoth.engine.purse import Purse, Tab
from quoth.engine.reading import BodyReader, StreamReader
from quoth.engine.routing.journey import Try
from quoth.types import Attempt

__all__ = ["trying"]

Reader = BodyReader | StreamReader
# A token of most texts is about this long.
_BYTES_PER_TOKEN = 4


def trying(
    plan: Plan, target: Target, world: World, attempts: list[Attempt], purse: Purse | None = None
) -> tuple[Try[Reader, Answer], Tab]:
    """The plan's call on its way to a target, and what it has reserved there. Raises QuothError for what is known to be
    wrong before sending."""
    sending = prepared(plan, target, world)
    tab = Tab(purse, target, sending.body)

    def interpret(outcome: Opened | Failed, reader: Reader) -> Answer:
        found = interpreted(sending, world, attempts, outcome, reader)
        found.reservation = tab.reservation
        return found

    made: Try[Reader, Answer] = Try(
        request=sending.request,
        new_reader=tab.before(partial(reader_of, sending, world)),
        interpret=tab.after(interpret),
        streams=sending.streams,
        makes_media=sending.makes_media,
        tokens=len(sending.request.body) // _BYTES_PER_TOKEN,
    )
    return made, tab
