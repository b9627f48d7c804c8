"""Routes: all of one generation of settings. Names lead to groups of candidates; what is known of keys and deployments
outlives a reload."""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any, TypeVar

from msgspec import Struct

from quoth import errors
from quoth.call import Target
from quoth.engine.effects import World
from quoth.engine.routing.candidates import Candidate
from quoth.engine.routing.deployments import Deployment
from quoth.engine.routing.gates import Pace, Places, Tokens
from quoth.engine.routing.health import Health, Key, Lane
from quoth.engine.routing.options import Fallback, Options, cycles
from quoth.providers.rows import host_of

__all__ = ["Group", "Problem", "Routes", "problems"]

# Callers choose the names that wildcards match, so that what is kept of them has a bound.
_KEPT = 1000
_LONGEST_NAME = 256
_Place = tuple[str, str]
G = TypeVar("G", Pace, Places, Tokens)


class Problem(Struct, frozen=True):
    """Something that settings may not say. `path` is as in the file: "router_settings.fallbacks"."""

    path: str
    message: str


class Group:
    """The candidates for one name, as callers say it. `only` is the candidate of a group of one."""

    __slots__ = ("candidates", "name", "only", "routes")

    def __init__(self, name: str, candidates: Sequence[Candidate], routes: Routes):
        self.name = name
        self.candidates = tuple(candidates)
        self.only = self.candidates[0] if len(self.candidates) == 1 and not routes.options.tag_filtering else None
        self.routes = routes

    def __repr__(self) -> str:
        return f"<Group {self.name!r} of {len(self.candidates)}>"


class Routes:
    """Groups, aliases, health and paces.

    `aliases` map a name to a group, or to an object with `model` and `hidden`, as LiteLLM's `model_group_alias`.
    `previous`: the routes of the settings before, whose health, paces and counters go on for deployments and keys that
    stayed. `lock` keeps threads apart where calls come from several (`threading.Lock()`); the gateway's come from one.
    Raises BadRequestError for the first of `problems`.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment],
        options: Options | None = None,
        *,
        aliases: Mapping[str, Any] | None = None,
        world: World,
        previous: Routes | None = None,
        lock: AbstractContextManager[object] | None = None,
    ):
        self.deployments = list(deployments)
        self.options = options = Options() if options is None else options
        aliases = aliases or {}
        for problem in problems(self.deployments, options, aliases):
            raise errors.BadRequestError(f"{problem.path}: {problem.message}", param=problem.path)
        self.world = world
        self._lock = lock
        self._guard: AbstractContextManager[object] = nullcontext() if lock is None else lock
        self._aliases = {name: _aliased(value) for name, value in aliases.items()}
        self._hidden = {name for name, value in aliases.items() if isinstance(value, Mapping) and value.get("hidden")}
        self._by_name: dict[str, list[Deployment]] = {}
        for deployment in self.deployments:
            self._by_name.setdefault(deployment.model_name, []).append(deployment)
        # The longest wildcard decides: the one that says most of a name.
        self._wildcards = sorted((name for name in self._by_name if "*" in name), key=lambda name: (-len(name), name))
        self._keys: dict[_Place, Key] = {}
        self._old_keys: dict[_Place, Key] = {} if previous is None else dict(previous._keys)
        self._lanes: OrderedDict[tuple[str, str, str], Lane] = OrderedDict() if previous is None else previous._lanes
        self._healths: OrderedDict[_Place, Health] = OrderedDict() if previous is None else previous._healths
        self._gates: dict[tuple[str, ...], Any] = {}
        self._old_gates: dict[tuple[str, ...], Any] = {} if previous is None else previous._all_gates()
        self._rpm_of_keys = self._tallest()
        self._found: OrderedDict[str, Group] = OrderedDict()
        self._exact: dict[str, Group] = {}
        for name in self._by_name:
            if "*" not in name:
                self._exact[name] = self._group(name, name, None)
        for deployment in self.deployments:
            if deployment.sample is not None:
                # So that they are known, and go on, also before anybody has asked for a model behind a wildcard.
                self._key(_place(deployment.sample))
                self._paces(deployment, deployment.sample)

    def find(self, name: str) -> Group | None:
        """The group that a name means: exactly, as an alias, or by the longest wildcard. None: no such model.

        Raises QuothError when what a wildcard makes of the name cannot be called.
        """
        group = self._exact.get(name)
        if group is not None:
            return group
        with self._guard:
            group = self._found.get(name)
            if group is not None:
                self._found.move_to_end(name)
                return group
        if "*" in name or len(name) > _LONGEST_NAME:
            return None
        meant = self._aliases.get(name)
        if meant is not None:
            found = self.find(meant)
            return None if found is None else self._keep(name, Group(name, found.candidates, self))
        for wildcard in self._wildcards:
            rest = _rest(wildcard, name)
            if rest is not None:
                return self._keep(name, self._group(name, wildcard, rest))
        return None

    def names(self) -> list[str]:
        """The names that callers may say, wildcards as they are, hidden aliases left out."""
        return [*self._by_name, *(name for name in self._aliases if name not in self._hidden)]

    def candidates(self) -> Iterator[Candidate]:
        """Every candidate there is so far; those of wildcards as they have been asked for."""
        seen: set[int] = set()
        for group in [*self._exact.values(), *list(self._found.values())]:
            for candidate in group.candidates:
                if id(candidate) not in seen:
                    seen.add(id(candidate))
                    yield candidate

    def fallbacks(self, group: str, error: errors.QuothError) -> tuple[Fallback, ...]:
        """What is called when a group has failed with this error."""
        options = self.options
        for kind, entries in (
            (errors.ContextWindowExceededError, options.context_window_fallbacks),
            (errors.ContentPolicyViolationError, options.content_policy_fallbacks),
        ):
            if isinstance(error, kind):
                found = entries.get(group, entries.get("*"))
                if found is not None:
                    return found
        found = options.fallbacks.get(group)
        return options.fallbacks.get("*", options.default_fallbacks) if found is None else found

    def known_balance(self, key: str | None, points: float | None) -> None:
        """What is left on a provider's key: with nothing left, the other keys come first. None: not known."""
        for (_, one), state in list(self._keys.items()):
            if one == (key or ""):
                state.balance(points)

    def keys(self) -> dict[str, Target]:
        """A target for every distinct key: balances belong to keys."""
        samples = [one.sample for one in self.deployments if one.sample is not None and not one.mock]
        called = [one.target for one in self.candidates() if not one.deployment.mock]
        found: dict[str, Target] = {}
        for target in (*samples, *called):
            if target.key:
                found.setdefault(target.key, target)
        return found

    def _keep(self, name: str, group: Group) -> Group:
        with self._guard:
            self._found[name] = group
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return group

    def _group(self, name: str, model_name: str, rest: str | None) -> Group:
        return Group(name, [self._candidate(one, one.target(rest)) for one in self._by_name[model_name]], self)

    def _candidate(self, deployment: Deployment, target: Target) -> Candidate:
        host, key = _place(target)
        with self._guard:
            return Candidate(
                deployment,
                target,
                self.options,
                health=_kept(self._healths, (deployment.id, target.model), Health),
                lane=_kept(self._lanes, (host, key, target.model), Lane),
                key=self._key((host, key)),
                places=self._gate(Places, deployment.max_parallel, deployment.id),
                tokens=self._tokens(deployment),
                paces=self._paces(deployment, target),
            )

    def _tallest(self) -> dict[_Place, float]:
        """The highest `rpm` among the deployments of each key."""
        found: dict[_Place, float] = {}
        for one in self.deployments:
            if one.rpm is not None and one.sample is not None:
                place = _place(one.sample)
                found[place] = max(found.get(place, 0.0), one.rpm)
        return found

    def _paces(self, deployment: Deployment, target: Target) -> tuple[Pace, ...]:
        """A key that its provider allows so many calls a minute has one pace for all of its deployments: towards the
        provider's own host at that limit, elsewhere where a deployment has an `rpm`, at the highest. A deployment whose
        `rpm` is another, or whose provider has no such limit, has a pace of its own. `key_rpm` is for every key, and
        in place of all that is said of keys."""
        place, limit = _place(target), self.options.key_rpm or 0.0
        if deployment.mock:
            limit = 0.0  # nobody is called
        elif not limit and target.row.calls_per_minute is not None:
            own = allowed(target) if place[0] == host_of(target.row.base_url) else 0.0
            limit = max(own, self._rpm_of_keys.get(place, 0.0))
        own_limit = None if deployment.rpm == limit else deployment.rpm
        paces = (self._gate(Pace, limit or None, *place), self._gate(Pace, own_limit, deployment.id))
        return tuple(pace for pace in paces if pace is not None)

    def _tokens(self, deployment: Deployment) -> Tokens | None:
        if self.options.strategy != "usage-based":
            return None
        return self._gate(Tokens, inf if deployment.tpm is None else deployment.tpm, deployment.id)

    def _gate(self, kind: type[G], limit: Any, *whose: str) -> G | None:
        """The gate of a key or a deployment, which is the same for as long as there is one."""
        if limit is None:
            return None
        name = (kind.__name__, *whose)
        gate: G | None = self._gates.get(name)
        if gate is None:
            gate = self._old_gates.pop(name, None)
            if gate is None:
                gate = kind(limit, self._lock)
            elif gate.limit != limit:
                gate.resize(limit)
            self._gates[name] = gate
        return gate

    def _all_gates(self) -> dict[tuple[str, ...], Any]:
        """Those in use, and those of the settings before that still know something."""
        now = self.world.now()
        left = {name: gate for name, gate in self._old_gates.items() if not gate.idle(now)}
        return {**left, **self._gates}

    def _key(self, place: _Place) -> Key:
        key = self._keys.get(place)
        if key is None:
            key = self._old_keys.pop(place, None) or Key()
            key.good()  # whoever reads the settings anew may have mended what it was refused for
            self._keys[place] = key
        return key


def allowed(target: Target) -> float:
    """Calls a minute that are made with a key: a little less than its provider allows, for whatever else uses the key,
    and for what a network does to the spaces between calls."""
    limit = target.row.calls_per_minute
    return inf if limit is None else limit * 0.96


def problems(
    deployments: Sequence[Deployment], options: Options, aliases: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """What these may not say together: every problem, with its path."""
    aliases = aliases or {}
    names = dict.fromkeys(deployment.model_name for deployment in deployments)
    yield from _twins(deployments)
    for name in names:
        weights = [one.weight for one in deployments if one.model_name == name and one.weight is not None]
        if weights and sum(weights) == 0 and len(weights) == sum(one.model_name == name for one in deployments):
            yield Problem("model_list", f"the weights of {name!r} are all 0, so that nothing of it is ever called")
    wildcards = [name for name in names if "*" in name]

    def known(name: str) -> bool:
        return name in names or name in aliases or any(_rest(one, name) is not None for one in wildcards)

    where = "router_settings.model_group_alias"
    for alias, value in aliases.items():
        meant = _aliased(value)
        if alias in names:
            yield Problem(f"{where}.{alias}", f"{alias!r} is also the model_name of a deployment, which it would hide")
        elif meant is None or meant == alias or meant in aliases or not known(meant):
            yield Problem(f"{where}.{alias}", f"{meant!r} is not a model_name" + _near(meant, names))
    for word in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        for group, entries in getattr(options, word).items():
            if group != "*" and not known(group):
                yield Problem(f"router_settings.{word}", f"{group!r} is not a model_name" + _near(group, names))
            yield from _unknown(entries, f"router_settings.{word}.{group}", known, names)
    yield from _unknown(options.default_fallbacks, "router_settings.default_fallbacks", known, names)
    for word, cycle in cycles(options):
        yield Problem(f"router_settings.{word}", f"they lead back to where they began: {' -> '.join(cycle)}")


def _twins(deployments: Sequence[Deployment]) -> Iterator[Problem]:
    ids: dict[str, int] = {}
    prints: dict[str, int] = {}
    for number, one in enumerate(deployments):
        if one.fingerprint and one.fingerprint in prints:
            first = prints[one.fingerprint]
            yield Problem(f"model_list[{number}]", f"it is the same as model_list[{first}]; leave one of them out")
        elif one.id in ids:
            yield Problem(
                f"model_list[{number}].model_info.id", f"{one.id!r} is the id of model_list[{ids[one.id]}] too"
            )
        ids.setdefault(one.id, number)
        prints.setdefault(one.fingerprint, number)


def _unknown(entries: Iterable[Fallback], path: str, known: Any, names: Iterable[str]) -> Iterator[Problem]:
    for entry in entries:
        name = entry if isinstance(entry, str) else str(entry["model"])
        if not known(name):
            yield Problem(path, f"{name!r} is not a model_name" + _near(name, names))


def _near(name: str | None, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name or "", list(names), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _aliased(value: Any) -> str | None:
    found = value.get("model") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else None


def _rest(wildcard: str, name: str) -> str | None:
    """What the `*` of a wildcard stands for in a name; None where it does not match."""
    before, _, after = wildcard.partition("*")
    if len(name) <= len(before) + len(after) or not name.startswith(before) or not name.endswith(after):
        return None
    return name[len(before) : len(name) - len(after)]


def _place(target: Target) -> _Place:
    """Whose key it is, and which: where a request goes to, not under what name."""
    return host_of(target.base_url), target.key or ""


def _kept(store: OrderedDict[Any, Any], key: Any, make: Any) -> Any:
    found = store.get(key)
    if found is None:
        found = store[key] = make()
        while len(store) > 10 * _KEPT:
            store.popitem(last=False)
    else:
        store.move_to_end(key)
    return found
