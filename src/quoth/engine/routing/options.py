"""How a router routes: LiteLLM's `router_settings`, read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct, field

from quoth import errors
from quoth.call import Timeouts
from quoth.engine.routing import values

__all__ = ["STRATEGIES", "Fallback", "Options", "cycles", "options_from"]

Strategy = Literal["simple-shuffle", "least-busy", "latency-based", "cost-based", "usage-based"]
STRATEGIES: dict[str, Strategy] = {
    "simple-shuffle": "simple-shuffle",
    "least-busy": "least-busy",
    "latency-based-routing": "latency-based",
    "latency-based": "latency-based",
    "cost-based-routing": "cost-based",
    "cost-based": "cost-based",
    "usage-based-routing": "usage-based",
    "usage-based-routing-v2": "usage-based",
    "usage-based": "usage-based",
}
Fallback = str | Mapping[str, Any]
Fallbacks = Mapping[str, tuple[Fallback, ...]]

# LiteLLM's names of errors in `retry_policy` and `allowed_fails_policy`; the first class that fits decides.
_POLICIES: tuple[tuple[str, type[errors.QuothError]], ...] = (
    ("ContentPolicyViolationError", errors.ContentPolicyViolationError),
    ("AuthenticationError", errors.AuthenticationError),
    ("TimeoutError", errors.Timeout),
    ("RateLimitError", errors.RateLimitError),
    ("NotFoundError", errors.NotFoundError),
    ("ServiceUnavailableError", errors.ServiceUnavailableError),
    ("InternalServerError", errors.InternalServerError),
    ("BadRequestError", errors.BadRequestError),
    ("Default", errors.QuothError),
)


class Options(Struct, frozen=True):
    """Times are seconds.

    `ttl` and `buffer` are those of latency-based: how long a measurement counts, and how much slower than the fastest a
    deployment may be and still be chosen. `fallbacks` and the two for their kind of error map a group ("*": any) to
    groups, or to objects with `model` and what else is to change in the call. `cooldown_time` None: 5, growing while it
    goes on failing. `allowed_fails` None: half of at least five calls in a minute. `retry_after`: the least wait before
    the same deployment is tried again. `max_wait`: the longest wait for a pace, and for a Retry-After. `key_rpm`: calls
    a minute for each key of any provider; None: what its row says. `retry_policy` and `allowed_fails_policy` map
    classes of errors to counts; `group_retry_policy` has one for each of some groups.
    """

    strategy: Strategy = "simple-shuffle"
    ttl: float = 3600.0
    buffer: float = 0.0
    num_retries: int = 2
    timeouts: Timeouts | None = None
    stream_timeouts: Timeouts | None = None
    fallbacks: Fallbacks = field(default_factory=dict)
    context_window_fallbacks: Fallbacks = field(default_factory=dict)
    content_policy_fallbacks: Fallbacks = field(default_factory=dict)
    default_fallbacks: tuple[Fallback, ...] = ()
    max_fallbacks: int = 5
    cooldown_time: float | None = None
    allowed_fails: int | None = None
    allowed_fails_policy: tuple[tuple[type[errors.QuothError], int], ...] = ()
    disable_cooldowns: bool = False
    retry_after: float = 0.0
    tag_filtering: bool = False
    match_any_tag: bool = True
    retry_policy: tuple[tuple[type[errors.QuothError], int], ...] = ()
    group_retry_policy: Mapping[str, tuple[tuple[type[errors.QuothError], int], ...]] = field(default_factory=dict)
    max_wait: float = 10.0
    key_rpm: float | None = None

    def retries(self, group: str, error: errors.QuothError) -> tuple[int, bool] | None:
        """How many retries a policy gives an error, and whether it is one to retry: where its class is named, it is.
        None when no policy says anything."""
        for kind, count in self.group_retry_policy.get(group, self.retry_policy):
            if isinstance(error, kind):
                return count, error.retryable or kind is not errors.QuothError
        return None


def counted(policy: tuple[tuple[type[errors.QuothError], int], ...], error: errors.QuothError) -> int | None:
    """The count of the first class that the error is of."""
    for kind, count in policy:
        if isinstance(error, kind):
            return count
    return None


def options_from(routing: Mapping[str, Any], *, where: str = "router_settings") -> Options:
    """Options from the words of LiteLLM's `router_settings`, which are also arguments of its Router; `max_wait` and
    `key_rpm` are ours. Words that are none of these are passed over. Raises QuothError whose `param` is the path of
    what is wrong."""
    given = {name: value for name, value in routing.items() if value is not None}

    def at(word: str) -> str:
        return f"{where}.{word}" if where else word

    default = Options()
    said: dict[str, Any] = {"strategy": _strategy(given.get("routing_strategy"), at("routing_strategy"))}
    arguments = values.mapping(given.get("routing_strategy_args"), at("routing_strategy_args"))
    said["ttl"] = values.number(arguments.get("ttl"), at("routing_strategy_args.ttl"), above=True)
    buffer = "lowest_latency_buffer"
    said["buffer"] = values.number(arguments.get(buffer), at(f"routing_strategy_args.{buffer}"))
    for word in ("num_retries", "max_fallbacks", "allowed_fails"):
        said[word] = values.whole(given.get(word), at(word))
    for word in ("cooldown_time", "retry_after", "max_wait"):
        said[word] = values.number(given.get(word), at(word))
    said["key_rpm"] = values.number(given.get("key_rpm"), at("key_rpm"), above=True)
    said["timeouts"] = values.timeouts(given.get("timeout"), at("timeout"))
    said["stream_timeouts"] = values.timeouts(given.get("stream_timeout"), at("stream_timeout"))
    for word in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        said[word] = _fallbacks(given.get(word), at(word))
    said["default_fallbacks"] = _targets(given.get("default_fallbacks", ()), at("default_fallbacks"))
    said["disable_cooldowns"] = values.flag(given.get("disable_cooldowns"), at("disable_cooldowns"))
    said["tag_filtering"] = values.flag(given.get("enable_tag_filtering"), at("enable_tag_filtering"))
    match = "tag_filtering_match_any"
    said["match_any_tag"] = values.flag(given.get(match), at(match))
    said["retry_policy"] = _policy(given.get("retry_policy"), "Retries", at("retry_policy"))
    allowed = "allowed_fails_policy"
    said[allowed] = _policy(given.get(allowed), "AllowedFails", at(allowed))
    groups = values.mapping(given.get("model_group_retry_policy"), at("model_group_retry_policy"))
    said["group_retry_policy"] = {
        name: _policy(policy, "Retries", at(f"model_group_retry_policy.{name}")) for name, policy in groups.items()
    }
    return Options(**{name: getattr(default, name) if value is None else value for name, value in said.items()})


def _strategy(value: Any, path: str) -> Strategy | None:
    if value is None:
        return None
    found = STRATEGIES.get(getattr(value, "value", value)) if isinstance(value, str) else None
    if found is None:
        names = ", ".join(name for name in STRATEGIES if name.endswith(("routing", "shuffle", "busy", "v2")))
        raise values.wrong(path, f"{value!r} is not a strategy; there are {names}")
    return found


def _fallbacks(value: Any, path: str) -> dict[str, tuple[Fallback, ...]]:
    """LiteLLM has a list of objects with one group each; an object of all of them is understood too."""
    if value is None:
        return {}
    entries = [value] if isinstance(value, Mapping) else value
    if isinstance(entries, str) or not isinstance(entries, Iterable):
        raise values.wrong(path, "it has to be a list of objects such as {group: [fallback, ...]}")
    found: dict[str, tuple[Fallback, ...]] = {}
    for number, entry in enumerate(entries):
        where = path if entry is value else f"{path}[{number}]"
        if not isinstance(entry, Mapping):
            raise values.wrong(where, "it has to be an object such as {group: [fallback, ...]}")
        for group, targets in entry.items():
            if group in found:
                raise values.wrong(f"{where}.{group}", f"there are fallbacks of {group!r} above")
            found[str(group)] = _targets(targets, f"{where}.{group}")
    return found


def _targets(value: Any, path: str) -> tuple[Fallback, ...]:
    if isinstance(value, str | Mapping):
        value = [value]
    if not isinstance(value, Iterable):
        raise values.wrong(path, "it has to be a list of model groups")
    found: list[Fallback] = []
    for number, entry in enumerate(value):
        name = entry.get("model") if isinstance(entry, Mapping) else entry
        if not isinstance(name, str) or not name:
            raise values.wrong(
                f"{path}[{number}]", "it has to be the name of a model group, or an object with one as model"
            )
        found.append(entry)
    return tuple(found)


def _policy(value: Any, suffix: str, path: str) -> tuple[tuple[type[errors.QuothError], int], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        value = getattr(value, "__dict__", value)  # LiteLLM's RetryPolicy object
    given = values.mapping(value, path)
    known = {f"{name}{suffix}": kind for name, kind in _POLICIES}
    for word in given:
        if word not in known:
            raise values.wrong(f"{path}.{word}", f"it is none of {', '.join(known)}")
    return tuple(
        (kind, count)
        for word, kind in known.items()
        if (count := values.whole(given.get(word), f"{path}.{word}")) is not None
    )


def cycles(options: Options) -> list[tuple[str, list[str]]]:
    """Every way in which fallbacks lead back to where they started: ("fallbacks", ["a", "b", "a"])."""
    found = []
    for word in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        edges = {
            group: [entry if isinstance(entry, str) else str(entry["model"]) for entry in entries]
            for group, entries in getattr(options, word).items()
            if group != "*"  # what falls back to a default does so once
        }
        done: set[str] = set()
        for start in edges:
            found += [(word, cycle) for cycle in _cycles(start, edges, [], done)]
    return found


def _cycles(group: str, edges: Mapping[str, list[str]], way: list[str], done: set[str]) -> list[list[str]]:
    if group in way:
        return [[*way[way.index(group) :], group]]
    if group in done:
        return []
    found = [cycle for other in edges.get(group, ()) for cycle in _cycles(other, edges, [*way, group], done)]
    done.add(group)
    return found
