"""Which candidate is called: those that are well before those that are not, by their order, then by a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from quoth import errors
from quoth.engine.routing.candidates import COOLING, CROWDED, Candidate
from quoth.engine.routing.options import Options

__all__ = ["choose", "eligible"]


def eligible(candidates: Sequence[Candidate], tags: Sequence[str], options: Options) -> Sequence[Candidate]:
    """Those that a call with these tags may go to. Raises BadRequestError when there are none.

    As in LiteLLM: a call with tags goes where they are, else to those tagged "default"; a call without goes to those
    tagged "default", if there are any.
    """
    if not options.tag_filtering:
        return candidates
    default = [one for one in candidates if "default" in one.deployment.tags]
    if not tags:
        return default or candidates
    wanted = set(tags)
    if options.match_any_tag:
        found = [one for one in candidates if wanted.intersection(one.deployment.tags)]
    else:
        found = [one for one in candidates if one.deployment.tags and wanted.issuperset(one.deployment.tags)]
    if not found and not default:
        raise errors.BadRequestError(
            f"no deployment of this model has any of the tags {', '.join(sorted(wanted))}", param="metadata.tags"
        )
    return found or default


def choose(
    candidates: Sequence[Candidate],
    tries: Mapping[Candidate, int],
    options: Options,
    now: float,
    random: Callable[[], float],
    *,
    streams: bool = False,
) -> Candidate:
    """The candidate to call next. `tries` counts the attempts that this call has made already."""
    if len(candidates) == 1:
        return candidates[0]
    best: tuple[float, ...] | None = None
    equals: list[Candidate] = []
    for one in candidates:
        standing = one.standing(now)
        ill = standing >= COOLING
        rank = (
            ill,
            tries.get(one, 0) if tries else 0,
            standing,
            one.well_at(now) if ill else one.soonest(now) if standing == CROWDED else 0.0,
            one.order,
        )
        if best is None or rank < best:
            best, equals = rank, [one]
        elif rank == best:
            equals.append(one)
    return equals[0] if len(equals) == 1 else _STRATEGIES[options.strategy](equals, options, now, random, streams)


def _shuffle(
    candidates: list[Candidate], options: Options, now: float, random: Callable[[], float], streams: bool
) -> Candidate:
    """By chance, weighted by `weight`, else by `rpm`, else by `tpm`: the first of them that any candidate has."""
    for name in ("weight", "rpm", "tpm"):
        weights = [getattr(one.deployment, name) or 0.0 for one in candidates]
        total = sum(weights)
        if total > 0:
            at = random() * total
            for one, weight in zip(candidates, weights, strict=True):
                at -= weight
                if at < 0:
                    return one
            return next(one for one, weight in zip(reversed(candidates), reversed(weights), strict=True) if weight > 0)
    return candidates[int(random() * len(candidates)) % len(candidates)]


def _least_busy(
    candidates: list[Candidate], options: Options, now: float, random: Callable[[], float], streams: bool
) -> Candidate:
    fewest = min(one.health.in_flight for one in candidates)
    return _any([one for one in candidates if one.health.in_flight == fewest], random)


def _fastest(
    candidates: list[Candidate], options: Options, now: float, random: Callable[[], float], streams: bool
) -> Candidate:
    """Any of those that are within `buffer` of the fastest."""
    seconds = [one.health.latency(now, options.ttl, streams=streams) for one in candidates]
    limit = min(seconds) * (1.0 + options.buffer)
    return _any([one for one, took in zip(candidates, seconds, strict=True) if took <= limit], random)


def _cheapest(
    candidates: list[Candidate], options: Options, now: float, random: Callable[[], float], streams: bool
) -> Candidate:
    lowest = min(one.price for one in candidates)
    return _any([one for one in candidates if one.price == lowest], random)


def _least_used(
    candidates: list[Candidate], options: Options, now: float, random: Callable[[], float], streams: bool
) -> Candidate:
    """The one with the fewest tokens in the last minute."""
    used = [one.tokens.at(now) if one.tokens is not None else 0 for one in candidates]
    fewest = min(used)
    return _any([one for one, tokens in zip(candidates, used, strict=True) if tokens == fewest], random)


def _any(candidates: list[Candidate], random: Callable[[], float]) -> Candidate:
    return candidates[int(random() * len(candidates)) % len(candidates)]


_STRATEGIES = {
    "simple-shuffle": _shuffle,
    "least-busy": _least_busy,
    "latency-based": _fastest,
    "cost-based": _cheapest,
    "usage-based": _least_used,
}
