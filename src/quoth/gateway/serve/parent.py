"""The parent: it binds the socket, starts workers and replaces those that end, hands out settings, and drains.

It waits for the first of: a signal, a word of a worker, the outcome of a reading of the settings, a moment. It serves
nothing itself and waits for nobody in particular, so that no worker, file or full pipe can stop it.
"""

from __future__ import annotations

import resource
import selectors
import signal
import socket
import time
from dataclasses import dataclass
from typing import Protocol

from quoth.gateway.serve.child import Child
from quoth.gateway.serve.listen import CannotListen, listen, url
from quoth.gateway.serve.loading import Loaded, Loading, Refusal
from quoth.gateway.serve.messages import (
    Drain,
    FromWorker,
    Gather,
    Generation,
    Ready,
    Refused,
    Retire,
    Snapshot,
    Start,
    Stop,
    Swapped,
)
from quoth.gateway.serve.plan import Plan
from quoth.gateway.serve.scrapes import Scrapes
from quoth.gateway.serve.signals import Signals, Terminal
from quoth.gateway.serve.watch import Watch

__all__ = ["Reporter", "serve"]

# Seconds.
_LOOK_AT_FILES = 1.0
_SWAP_WITHIN = 10.0
_DRAIN_GRACE = 5.0  # for a worker's last bytes, its logs and its exit, after drain_timeout
_STOP_WITHIN = 2.0
_LINGER = 1.0  # a worker that was replaced: long enough for busy clients to have their next connection
_RETIRED_WITHIN = 3600.0  # and for its longest answers: nobody waits for it
_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 10.0
_LOOK_AT_SIZES = 5.0

# A worker that lives this long, in seconds, was not part of a crash loop.
_WELL = 10.0
# So many workers may end before one was ever ready.
_TRIES = 3

# Connections of one worker at a time, where the system allows as many: each may have one of its own to a provider.
_CONNECTIONS = 4096
_OTHER_FILES = 128


class Reporter(Protocol):
    """Who is told what happens. None of it may wait."""

    def started(self, settings: Loaded, address: str) -> None:
        """Requests are answered at this address."""
        ...

    def say(self, text: str) -> None:
        """Something to know: a reload, a drain."""
        ...

    def warn(self, text: str) -> None:
        """Something to look after: a worker that ended, settings that were refused."""
        ...

    def refused(self, problems: list[str]) -> None:
        """The gateway does not start, and why."""
        ...


def serve(plan: Plan, reporter: Reporter) -> int:
    """Serve until a signal says otherwise; the exit code. Must run in the main thread."""
    with Signals() as signals:
        return _Parent(plan, reporter, signals).run()


@dataclass
class _Slot:
    """A place for one worker. `due`: when the next one is started, after one has ended."""

    child: Child | None = None
    failures: int = 0
    due: float | None = None


@dataclass
class _Swap:
    """A generation on its way: it is in force when the last worker has it, and taken back when one refuses it."""

    number: int
    settings: Loaded
    waiting: set[Child]
    deadline: float


class _Parent:
    def __init__(self, plan: Plan, reporter: Reporter, signals: Signals):
        self._plan = plan
        self._report = reporter
        self._signals = signals
        self._terminal = Terminal(kept=signals.hangup_was_ignored)
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ, self._hear_signals)
        self._slots = [_Slot()]
        # Workers that were replaced and have not ended yet.
        self._retired: list[Child] = []
        self._connections = _room_for_connections()
        self._listener: socket.socket | None = None
        # The settings in force, and the first ones: address, certificate and limits of the server stay as they were.
        self._settings: Loaded | None = None
        self._first: Loaded | None = None
        self._generation = 1
        self._latest = 1
        self._loading: Loading | None = None
        self._load_again = False
        self._swap: _Swap | None = None
        self._scrapes = Scrapes()
        self._files = Watch()
        self._certificate = Watch()
        self._next_look = 0.0
        self._next_sizes = 0.0
        self._started = False
        self._ending: int | None = None
        self._stop_accepting: float | None = None
        self._patience: float | None = None
        self._code: int | None = None

    def run(self) -> int:
        try:
            self._load()
            # The worker loads its code while the settings are read.
            self._spawn(self._slots[0])
            while self._code is None:
                for key, _ in self._selector.select(self._wait()):
                    key.data()
                self._bury()
                self._tick(time.monotonic())
            return self._code
        finally:
            self._leave()

    def _leave(self) -> None:
        for child in self._children():
            child.kill()
            child.bury()
        if self._loading is not None:
            self._loading.give_up()
        if self._listener is not None:
            self._listener.close()
        self._selector.close()

    def _children(self) -> list[Child]:
        return [*(slot.child for slot in self._slots if slot.child is not None), *self._retired]

    # --- Moments ------------------------------------------------------------------------------------------------

    def _wait(self) -> float | None:
        """Seconds until something is due."""
        moments = [
            self._loading.deadline if self._loading is not None else None,
            self._swap.deadline if self._swap is not None else None,
            self._scrapes.next_deadline(),
            self._stop_accepting,
            self._patience,
            *(slot.due for slot in self._slots),
            *(child.deaf + _STOP_WITHIN for child in self._children() if child.deaf is not None and not child.leaving),
        ]
        if self._started and self._ending is None:
            moments.append(self._next_look)
        due = [moment for moment in moments if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _tick(self, now: float) -> None:
        if self._loading is not None and self._loading.deadline <= now:
            self._selector.unregister(self._loading)
            self._loaded(self._loading.give_up())
        if self._swap is not None and self._swap.deadline <= now:
            self._take_back(f"a worker did not take them within {_SWAP_WITHIN:.0f} s")
        self._scrapes.overdue(now)
        for slot in self._slots:
            if slot.due is not None and slot.due <= now:
                self._spawn(slot)
        if self._stop_accepting is not None and self._stop_accepting <= now:
            self._stop_accepting = None
            self._close_listener()
        if self._patience is not None and self._patience <= now:
            self._patience = None
            for child in self._children():
                self._report.warn(f"worker {child.slot + 1} (process {child.pid}) did not end in time and is killed")
                child.kill()
            self._ending = self._ending or 1
        if self._started and self._ending is None and self._next_look <= now:
            self._look(now)
        for child in self._children():
            if child.deaf is not None and child.deaf + _STOP_WITHIN <= now and not child.leaving:
                child.kill()  # it did not end with its end of the channel, and can no longer be told to
            self._mind(child)

    def _look(self, now: float) -> None:
        self._next_look = now + _LOOK_AT_FILES
        if self._files.settled():
            self._load()
        if self._certificate.settled():
            self._report.say("the certificate has changed: the workers are replaced one after the other")
            for slot in self._slots:
                self._replace(slot)
        if self._plan.recycle_above and self._next_sizes <= now:
            self._next_sizes = now + _LOOK_AT_SIZES
            for slot in self._slots:
                if slot.child is not None and slot.child.ready:
                    self._weigh(slot, slot.child)

    def _weigh(self, slot: _Slot, child: Child) -> None:
        size = child.resident() >> 20
        if size > self._plan.recycle_above:
            self._report.warn(f"worker {child.slot + 1} has grown to {size} MB and is replaced")
            self._replace(slot)

    # --- Signals ------------------------------------------------------------------------------------------------

    def _hear_signals(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGHUP and self._terminal.is_lost():
                self._end(number)
            elif number == signal.SIGHUP:
                self._load()
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._end(number)

    def _end(self, number: int) -> None:
        now = time.monotonic()
        settings = self._settings
        if self._ending is None and settings is not None and self._started:
            self._ending = 0
            self._report.say(
                f"draining: not ready from now on, no new connections in {settings.drain_delay:g} s, the rest has "
                f"{settings.drain_timeout:g} s to end; a second signal ends it now"
            )
            self._stop_accepting = now + settings.drain_delay
            self._patience = now + settings.drain_delay + settings.drain_timeout + _DRAIN_GRACE
            order: Drain | Stop = Drain(settings.drain_delay, settings.drain_timeout)
        else:
            self._ending = 128 + number
            self._close_listener()
            self._patience = now + _STOP_WITHIN
            order = Stop()
        for slot in self._slots:
            slot.due = None
        for child in self._children():
            child.leaving = True
            if child.ready:
                child.tell(order)
            else:
                child.kill()
        self._swap = None

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    # --- Settings -----------------------------------------------------------------------------------------------

    def _load(self) -> None:
        if self._ending is not None:
            return
        if self._loading is not None or self._swap is not None:
            self._load_again = True
            return
        self._load_again = False
        try:
            self._loading = Loading(self._plan)
        except OSError as error:
            self._loaded(Refusal([f"the settings cannot be read: {_no_process(error)}"]))
            return
        self._selector.register(self._loading, selectors.EVENT_READ, self._hear_loading)

    def _hear_loading(self) -> None:
        assert self._loading is not None
        descriptor = self._loading.fileno()
        outcome = self._loading.read()
        if outcome is not None:
            self._selector.unregister(descriptor)
            self._loaded(outcome)

    def _loaded(self, outcome: Loaded | Refusal) -> None:
        self._loading = None
        if self._ending is not None:
            return
        if self._settings is None:
            self._begin(outcome)
        elif isinstance(outcome, Refusal):
            self._report.warn("\n".join(["the new settings are refused, the old ones stay:", *outcome.problems]))
            self._reloaded()
        else:
            self._offer(outcome, self._settings)

    def _begin(self, outcome: Loaded | Refusal) -> None:
        """The first settings: listen, and let the workers begin."""
        if isinstance(outcome, Refusal):
            self._refuse(outcome.problems)
            return
        try:
            self._listener = listen(outcome.host, outcome.port, outcome.backlog, outcome.write_timeout)
        except CannotListen as error:
            self._refuse([str(error)])
            return
        self._settings = self._first = outcome
        if self._connections < 1000:
            self._report.warn(
                f"each worker takes only {self._connections} connections at a time, since this process may open few "
                "files: raise its limit (ulimit -n, LimitNOFILE)"
            )
        self._files.follow(outcome.files)
        self._certificate.follow((outcome.tls.certificate, outcome.tls.key) if outcome.tls else ())
        self._slots += [_Slot() for _ in range(outcome.workers - 1)]
        for slot in self._slots:
            if slot.child is None:
                self._spawn(slot)
            else:
                self._let_begin(slot.child)

    def _refuse(self, problems: list[str]) -> None:
        self._report.refused(problems)
        self._code = 1

    def _offer(self, settings: Loaded, current: Loaded) -> None:
        """New settings to all workers."""
        assert self._first is not None
        first = self._first
        for what, now, then in (
            ("address", (first.host, first.port), (settings.host, settings.port)),
            ("number of workers", first.workers, settings.workers),
            ("certificate's files", first.tls, settings.tls),
            ("header timeout", first.header_timeout, settings.header_timeout),
            ("write timeout", first.write_timeout, settings.write_timeout),
        ):
            if now != then:
                self._report.warn(f"the {what} has changed in the settings: that needs a restart")
        if settings.packed == current.packed:
            self._settings = settings
            self._report.say("the settings were read again and are the same")
            self._reloaded()
            return
        self._latest += 1
        takers = {child for child in self._children() if child.ready and not child.leaving}
        self._swap = _Swap(self._latest, settings, takers, time.monotonic() + _SWAP_WITHIN)
        for child in takers:
            child.tell(Generation(self._latest, settings.packed))
        self._swapped()

    def _swapped(self) -> None:
        swap = self._swap
        if swap is None or swap.waiting:
            return
        self._swap = None
        self._settings = swap.settings
        self._generation = swap.number
        self._report.say(f"the settings were reloaded (generation {swap.number})")
        for warning in swap.settings.warnings:
            self._report.warn(warning)
        self._bring_up_to_date()
        self._reloaded()

    def _take_back(self, reason: str) -> None:
        """One worker cannot have the new settings, so none has them."""
        assert self._swap is not None
        self._swap = None
        self._report.warn(f"the new settings are refused, the old ones stay: {reason}")
        self._bring_up_to_date()
        self._reloaded()

    def _bring_up_to_date(self) -> None:
        assert self._settings is not None
        for child in self._children():
            if child.ready and not child.leaving and child.generation != self._generation:
                child.tell(Generation(self._generation, self._settings.packed))
                child.generation = self._generation

    def _reloaded(self) -> None:
        """A reload is over, whichever way."""
        if self._settings is not None:
            self._files.follow(self._settings.files)
        if self._load_again:
            self._load()

    # --- Workers ------------------------------------------------------------------------------------------------

    def _spawn(self, slot: _Slot) -> None:
        slot.due = None
        try:
            child = slot.child = Child(self._slots.index(slot), self._plan)
        except OSError as error:
            slot.child = None
            self._failed(slot, f"worker {self._slots.index(slot) + 1}: {_no_process(error)}")
            return
        self._selector.register(child.channel, selectors.EVENT_READ, lambda: self._hear(child))
        if self._settings is not None:
            self._let_begin(child)

    def _let_begin(self, child: Child) -> None:
        assert self._settings is not None
        assert self._first is not None
        assert self._listener is not None
        start = Start(
            worker=child.slot + 1,
            workers=len(self._slots),
            generation=self._generation,
            settings=self._settings.packed,
            backlog=self._first.backlog,
            connections=self._connections,
            header_timeout=self._first.header_timeout,
            tls=self._first.tls,
        )
        child.begin(start, self._listener)

    def _replace(self, slot: _Slot) -> None:
        """A new worker for an old one, which leaves when the new one is ready: nobody has to wait."""
        if slot.child is not None and slot.child.ready:
            self._retired.append(slot.child)
            self._spawn(slot)

    def _mind(self, child: Child) -> None:
        """Wake up for its channel when there is something to send, too."""
        if child.deaf is not None:
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.has_more_to_send else 0)
        key = self._selector.get_key(child.channel)
        if key.events != wanted:
            self._selector.modify(child.channel, wanted, key.data)

    def _hear(self, child: Child) -> None:
        child.flush()
        for message in child.hear():
            self._heard(child, message)
        if child.deaf is not None:
            self._selector.unregister(child.channel)

    def _heard(self, child: Child, message: FromWorker) -> None:
        match message:
            case Ready():
                self._became_ready(child)
            case Swapped(number):
                self._has_swapped(child, number)
            case Refused(number, reason):
                self._has_refused(child, number, reason)
            case Gather(asked, data):
                child.metrics = data
                others = [other for other in self._children() if other is not child and other.ready]
                self._scrapes.begin(child, asked, others, time.monotonic())
            case Snapshot(asked, data):
                self._scrapes.answered(child, asked, data)

    def _became_ready(self, child: Child) -> None:
        child.ready = True
        for old in self._retired:
            if old.slot == child.slot and not old.leaving and self._settings is not None:
                old.leaving = True
                old.tell(Retire(_LINGER, _RETIRED_WITHIN))
        if self._swap is None:
            self._bring_up_to_date()
        if not self._started and all(slot.child is not None and slot.child.ready for slot in self._slots):
            assert self._settings is not None
            assert self._listener is not None
            self._started = True
            self._next_look = time.monotonic() + _LOOK_AT_FILES
            self._report.started(self._settings, url(self._listener, tls=self._settings.tls is not None))

    def _has_swapped(self, child: Child, number: int) -> None:
        child.generation = number
        if self._swap is not None and number == self._swap.number:
            self._swap.waiting.discard(child)
            self._swapped()
        elif self._swap is None:
            self._bring_up_to_date()  # it took what has been taken back meanwhile

    def _has_refused(self, child: Child, number: int, reason: str) -> None:
        if not child.ready:
            child.refusal = reason
        elif self._swap is not None and number == self._swap.number:
            self._take_back(reason)
        elif number == self._generation:
            self._report.warn(f"worker {child.slot + 1} does not take the settings in force and is replaced: {reason}")
            self._replace(self._slots[child.slot])

    def _bury(self) -> None:
        """Workers that have ended, wanted or not."""
        for child in self._children():
            if child.is_over():
                self._hear_last(child)
                self._scrapes.departed(child)
                if self._swap is not None:
                    self._swap.waiting.discard(child)
                    self._swapped()
                child.bury()
                self._lost(child)
        if self._ending is not None and not self._children():
            self._code = self._ending

    def _hear_last(self, child: Child) -> None:
        if child.deaf is None:
            self._selector.unregister(child.channel)
            for message in child.hear():
                if isinstance(message, Snapshot | Refused):
                    self._heard(child, message)

    def _lost(self, child: Child) -> None:
        if child in self._retired:
            self._retired.remove(child)
            if child.process.returncode:
                self._report.warn(f"worker {child.slot + 1} (process {child.pid}), replaced before: {child.ending()}")
            return
        slot = self._slots[child.slot]
        slot.child = None
        if self._ending is not None:
            if child.process.returncode not in (0, -signal.SIGKILL):
                self._report.warn(f"worker {child.slot + 1} (process {child.pid}) failed to end: {child.ending()}")
                self._ending = self._ending or 1
            return
        lived = time.monotonic() - child.born
        slot.failures = 0 if child.ready and lived >= _WELL else slot.failures
        if self._settings is None:
            return  # settings that are refused are the better reason; if they are good, the next worker tells its own
        if not self._started and child.refusal is not None:
            self._refuse([f"the worker failed to start: {child.refusal}"])
            return
        end = child.refusal or f"it ended {child.ending()}"
        self._failed(slot, f"worker {child.slot + 1} (process {child.pid}): {end}")

    def _failed(self, slot: _Slot, what: str) -> None:
        """A worker ended or could not be started: again, later, unless none ever was."""
        slot.failures += 1
        if not self._started and slot.failures >= _TRIES:
            self._refuse([f"it failed to start {slot.failures} times: {what}"])
            return
        wait = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** (slot.failures - 1))
        self._report.warn(f"{what}; the next starts in {wait:g} s")
        slot.due = time.monotonic() + wait


def _no_process(error: OSError) -> str:
    return f"the system does not start another process ({error.strerror or error})"


def _room_for_connections() -> int:
    """How many connections a worker can take, once this process and its workers may open as many files as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
        except (OSError, ValueError):
            pass  # macOS has a limit beside this one
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS
    return max(32, min(_CONNECTIONS, (soft - _OTHER_FILES) // 2))
