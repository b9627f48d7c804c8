"""Caps on what calls may cost: `with quoth.budget(usd=0.50) as b: ...`, and QUOTH_MAX_USD for the whole process.

The most that a request can cost is reserved before it is sent, so that no number of threads together can go over the
cap. Amounts are integer nano-dollars. One lock guards all budgets, for nested ones are reserved together; settling
takes no lock, for a garbage collector may do it in the middle of anything.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from types import TracebackType
from typing import Any, Literal, Self

from quoth.call import Target
from quoth.engine.purse import Purse
from quoth.errors import BadRequestError, BudgetExceededError
from quoth.providers.costs import Most
from quoth.transport.environment import environment

__all__ = ["Budget", "budget", "current", "named_budget"]

_NANO = 1_000_000_000
_active: ContextVar[tuple[Budget, ...]] = ContextVar("quoth_budgets", default=())
_lock = threading.Lock()


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may have held the lock at the moment of the fork; its copy would stay locked for ever.
    os.register_at_fork(after_in_child=_new_lock)


class Budget:
    """A cap in USD on the calls that are made inside its `with` (or `async with`) block, wherever they are made from
    there: functions, tasks, batches. Budgets can be nested; then each of them applies. All amounts are Decimal USD.

    It can be entered again, and goes on from what it has spent.
    """

    def __init__(
        self,
        usd: Decimal | float | str,
        unknown: Literal["refuse", "allow"] = "refuse",
        *,
        spent: Decimal | float | str = 0,
    ):
        """`unknown`: what becomes of a call whose price nobody knows. "allow" makes it, as long as anything is left,
        and counts what the provider says it cost, or nothing. `spent`: what counts as spent already, such as by an
        earlier run. Raises BadRequestError."""
        if unknown not in ("refuse", "allow"):
            raise BadRequestError(f'unknown is {unknown!r}; it has to be "refuse" or "allow"', param="unknown")
        self._limit = _nanos(usd, "usd")
        self._allows_unknown = unknown == "allow"
        self._name = f"the budget of ${_text(self._limit)}"
        self._hint = 'quoth.budget(..., unknown="allow")'
        self._spent = _nanos(spent, "spent")
        self._reserved = self._calls = 0
        # What has been settled and not been counted yet: (nanos that were reserved, nanos spent).
        self._settled: deque[tuple[int, int]] = deque()

    @property
    def usd(self) -> Decimal:
        """The cap."""
        return _decimal(self._limit)

    @property
    def spent(self) -> Decimal:
        """What was spent so far. Where it cannot be known what a request cost (a timeout, a stream left early), all
        that was reserved for it."""
        return _decimal(self._counted()[0])

    @property
    def reserved(self) -> Decimal:
        """The most that the requests under way can cost."""
        return _decimal(self._counted()[1])

    @property
    def remaining(self) -> Decimal:
        """What a further request may cost; 0 at least."""
        spent, reserved = self._counted()
        return _decimal(max(0, self._limit - spent - reserved))

    @property
    def calls(self) -> int:
        """The requests that were sent, retries and repairs included."""
        return self._calls

    def __repr__(self) -> str:
        spent, reserved = self._counted()
        return (
            f"<Budget ${_text(self._limit)}: ${_text(spent)} spent, ${_text(reserved)} reserved, {self._calls} calls>"
        )

    def __enter__(self) -> Self:
        _active.set((*_active.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The last of them: the same budget may have been entered twice. Not by a token, which another context refuses.
        budgets = list(_active.get())
        for place in reversed(range(len(budgets))):
            if budgets[place] is self:
                del budgets[place]
                break
        _active.set(tuple(budgets))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _counted(self) -> tuple[int, int]:
        with _lock:
            self._count()
            return self._spent, self._reserved

    def _count(self) -> None:
        """Take in what has been settled; the lock is held."""
        while self._settled:
            reserved, spent = self._settled.popleft()
            self._reserved -= reserved
            self._spent += spent

    def _check(self, nanos: int, most: Most, target: Target) -> None:
        """Raises BudgetExceededError; the lock is held."""
        self._count()
        left = self._limit - self._spent - self._reserved
        facts: dict[str, Any] = {"llm_provider": target.provider, "model": target.model}
        if most.usd is None and not self._allows_unknown:
            raise BudgetExceededError(
                f"{self._name} has no room for {target.provider}/{target.model}: {most.why}. "
                f"{self._hint} makes such calls all the same; nothing was sent",
                **facts,
            )
        if (most.usd is None and left <= 0) or (nanos and nanos > left):
            need = (
                "has nothing left" if most.usd is None else f"a call that can cost up to ${_text(nanos)} does not fit"
            )
            raise BudgetExceededError(
                f"{self._name}: {need}; ${_text(self._spent)} spent, ${_text(self._reserved)} reserved, "
                f"${_text(max(0, left))} left. A smaller max_tokens lowers what a call can cost; nothing was sent",
                **facts,
            )


def budget(
    usd: Decimal | float | str,
    *,
    unknown: Literal["refuse", "allow"] = "refuse",
    spent: Decimal | float | str = 0,
) -> Budget:
    """`with quoth.budget(usd=0.50) as b:` caps what the calls inside may cost; also `async with`.

    `usd`: Decimal, text or number. `unknown`: "refuse" calls whose price nobody knows, or "allow" them uncounted.
    `spent`: what counts as spent already, such as by an earlier run. Inside, a call that could cost more than is left
    raises BudgetExceededError and is not sent. `b.spent`, `b.reserved`, `b.remaining` (Decimal USD) and `b.calls` say
    how far it is. Raises BadRequestError for an amount that is none.
    """
    return Budget(usd, unknown, spent=spent)


def named_budget(name: str, usd: Decimal, hint: str, spent: Decimal = Decimal(0)) -> Budget:
    """A budget whose errors call it by `name`, and say that `hint` makes calls whose price nobody knows."""
    made = Budget(usd, spent=spent)
    made._name, made._hint = name, hint
    return made


class _Several:
    """All the budgets that apply to a call, as the one purse that the engine knows."""

    __slots__ = ("_budgets",)

    def __init__(self, budgets: Sequence[Budget]):
        self._budgets = budgets

    def reserve(self, target: Target, most: Most) -> _Reservation:
        nanos = 0 if most.usd is None else int((most.usd * _NANO).to_integral_value(ROUND_CEILING))
        with _lock:
            for one in self._budgets:
                one._check(nanos, most, target)
            for one in self._budgets:
                one._reserved += nanos
                one._calls += 1
        return _Reservation(self._budgets, nanos)


class _Reservation:
    """Settled once; dropped without, by the garbage collector, as if nothing were known."""

    __slots__ = ("_budgets", "_open", "_reserved")

    def __init__(self, budgets: Sequence[Budget], nanos: int):
        self._budgets, self._reserved = budgets, nanos
        self._open = [True]

    def settle(self, usd: Decimal | None) -> None:
        try:
            self._open.pop()  # one thread only gets it
        except IndexError:
            return
        spent = self._reserved if usd is None else int((usd * _NANO).to_integral_value(ROUND_CEILING))
        for one in self._budgets:
            one._settled.append((self._reserved, spent))

    def __del__(self) -> None:
        self.settle(None)


_process: Budget | None = None
_process_text = ""


def current() -> Purse | None:
    """The purse of a call that is made here and now; None when nothing caps it. Raises BadRequestError for a
    QUOTH_MAX_USD that is no amount."""
    # A budget that was entered twice applies once.
    budgets = tuple(dict.fromkeys(_active.get()))
    text = environment().get("QUOTH_MAX_USD", "").strip()
    if text:
        budgets = (_of_the_process(text), *budgets)
    return _Several(budgets) if budgets else None


def _of_the_process(text: str) -> Budget:
    """The one budget of this process; another value of the variable moves its cap and forgets nothing."""
    global _process, _process_text
    if _process is None or text != _process_text:
        limit = _nanos(text, "QUOTH_MAX_USD")
        with _lock:
            if _process is None:
                _process = named_budget("", Decimal(0), "QUOTH_UNKNOWN_COST=allow")
            _process._limit, _process_text = limit, text
            _process._name = f"QUOTH_MAX_USD=${_text(limit)}"
    _process._allows_unknown = environment().get("QUOTH_UNKNOWN_COST", "").strip() == "allow"
    return _process


def _nanos(usd: Any, name: str) -> int:
    try:
        amount = None if isinstance(usd, bool) else Decimal(str(usd).strip())
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise BadRequestError(f"{name} is {usd!r}; it has to be an amount of US dollars, 0 or more", param=name)
    return int((amount * _NANO).to_integral_value(ROUND_FLOOR))


def _decimal(nanos: int) -> Decimal:
    return Decimal(nanos) / _NANO


def _text(nanos: int) -> str:
    return f"{_decimal(nanos).normalize():f}"
