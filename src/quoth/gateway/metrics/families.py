"""The names: what Prometheus is told, and under which labels. Quoth's own, and LiteLLM's for the same numbers, so that
dashboards made for its proxy go on working.

LiteLLM's labels that tell callers apart (`hashed_api_key`, `user`, `client_ip` ...) are left out: a label that is not
there reads as "" in a query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Literal, NamedTuple

from quoth._version import __version__
from quoth.gateway.metrics.numbers import LATENCY, OVERHEAD, Histogram, Line, Numbers, State

__all__ = ["CONTENT_TYPE", "WATCHED", "described", "page"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# What others count -> (name, kind, help).
WATCHED: dict[str, tuple[str, Literal["counter", "gauge"], str]] = {
    "log_lines_dropped": ("quoth_log_lines_dropped", "counter", "Lines of the log that its sink did not take in time"),
    "spans_dropped": ("quoth_spans_dropped", "counter", "Requests whose traces were not made, since too many waited"),
    "cache_misses": ("quoth_cache_misses", "counter", "Requests that the response cache had no answer for"),
    "cache_entries": ("quoth_cache_entries", "gauge", "Answers in the response cache"),
    "cache_bytes": ("quoth_cache_bytes", "gauge", "Bytes of answers in the response cache"),
    "tasks": ("quoth_tasks", "gauge", "Tasks of the event loop"),
}

_Found = Iterator[tuple[tuple[str, ...], Any]]


class Family(NamedTuple):
    """A metric over lines. `take`: the label values and numbers (or a Histogram) of one line; equal labels add up."""

    name: str
    kind: Literal["counter", "histogram"]
    help: str
    labels: tuple[str, ...]
    take: Callable[[Line], _Found]


def _requests(line: Line) -> _Found:
    for (status, stream, error), count in line.outcomes.items():
        yield (line.route, line.model, line.provider, str(status), "true" if stream else "false", error), count


def _number(field: str, labels: Callable[[Line], tuple[str, ...]]) -> Callable[[Line], _Found]:
    def take(line: Line) -> _Found:
        number = getattr(line, field)
        if number:
            yield labels(line), number

    return take


def _histogram(field: str, labels: Callable[[Line], tuple[str, ...]]) -> Callable[[Line], _Found]:
    def take(line: Line) -> _Found:
        histogram = getattr(line, field)
        if any(histogram.counts):
            yield labels(line), histogram

    return take


def _tokens(line: Line) -> _Found:
    for kind in ("prompt", "completion", "cached", "written", "reasoning"):
        if number := getattr(line, kind):
            yield (line.model, line.provider, kind), number


_MODEL = ("model", "provider")
_ROUTE = ("route", "model", "provider")


def _model(line: Line) -> tuple[str, ...]:
    return line.model, line.provider


def _route(line: Line) -> tuple[str, ...]:
    return line.route, line.model, line.provider


_OWN = (
    Family("quoth_requests", "counter", "Requests that are over", (*_ROUTE, "status", "stream", "error"), _requests),
    Family(
        "quoth_tokens",
        "counter",
        "Tokens as providers counted them; cached and written are part of prompt, reasoning of completion",
        (*_MODEL, "kind"),
        _tokens,
    ),
    Family("quoth_cost_usd", "counter", "Cost in US dollars, as far as it is known", _MODEL, _number("usd", _model)),
    Family("quoth_cost_points", "counter", "Cost in Poe's points", _MODEL, _number("points", _model)),
    Family(
        "quoth_cost_unknown",
        "counter",
        "Answered requests whose cost is not known",
        _MODEL,
        _number("unpriced", _model),
    ),
    Family(
        "quoth_request_seconds",
        "histogram",
        "From the request to the end of its answer",
        _ROUTE,
        _histogram("total", _route),
    ),
    Family(
        "quoth_overhead_seconds",
        "histogram",
        "The part of a request that was not spent waiting for a provider",
        ("route",),
        _histogram("overhead", lambda line: (line.route,)),
    ),
    Family(
        "quoth_upstream_seconds",
        "histogram",
        "Time spent waiting for providers, lines left out",
        _MODEL,
        _histogram("upstream", _model),
    ),
    Family(
        "quoth_first_byte_seconds",
        "histogram",
        "From the request to the first byte of a streamed answer",
        _MODEL,
        _histogram("first", _model),
    ),
    Family(
        "quoth_queue_wait_seconds",
        "histogram",
        "Time in line, of requests that had to wait their turn",
        _MODEL,
        _histogram("waits", _model),
    ),
    Family(
        "quoth_retries", "counter", "Attempts after the first, at the same model", _MODEL, _number("retries", _model)
    ),
    Family("quoth_fallbacks", "counter", "Turns to another model", _MODEL, _number("fallbacks", _model)),
    Family("quoth_cache_hits", "counter", "Answers from the response cache", _ROUTE, _number("cache_hits", _route)),
    Family("quoth_clients_left", "counter", "Callers who went away before the end", _ROUTE, _number("left", _route)),
    Family(
        "quoth_received_bytes",
        "counter",
        "Bytes of requests",
        ("route",),
        _number("bytes_in", lambda one: (one.route,)),
    ),
    Family(
        "quoth_sent_bytes", "counter", "Bytes of answers", ("route",), _number("bytes_out", lambda one: (one.route,))
    ),
)

# --- LiteLLM's ----------------------------------------------------------------------------------------------------

_MODELS = ("requested_model", "model", "model_id", "api_provider")
_GROUP = ("model_group", *_MODELS)
_DEPLOYMENT = ("requested_model", "litellm_model_name", "model_id", "api_provider")


def _bare(line: Line) -> str:
    """The served model without the provider before it."""
    return line.served.removeprefix(f"{line.provider}/")


def _models(line: Line) -> tuple[str, ...]:
    return line.model, _bare(line), line.deployment, line.provider


def _group(line: Line) -> tuple[str, ...]:
    return line.model, *_models(line)


def _asked(field: str, labels: Callable[[Line], tuple[str, ...]]) -> Callable[[Line], _Found]:
    """Only what asked for a model: LiteLLM counts no health checks there."""
    take = _histogram(field, labels)
    return lambda line: take(line) if line.deployment else iter(())


def _all_requests(line: Line) -> _Found:
    for (status, _, _), count in line.outcomes.items():
        yield (line.model, line.route, str(status), line.deployment, line.provider), count


def _failed_requests(line: Line) -> _Found:
    for (status, _, error), count in line.outcomes.items():
        if error:
            yield (line.model, line.route, str(status), error, line.deployment, line.provider), count


def _served(wanted: Callable[[str], bool]) -> Callable[[Line], _Found]:
    def take(line: Line) -> _Found:
        for (_, _, error), count in line.outcomes.items():
            if line.deployment and wanted(error):
                yield (line.model, line.served, line.deployment, line.provider), count

    return take


def _failed_by_deployment(line: Line) -> _Found:
    for (status, _, error), count in line.outcomes.items():
        if line.deployment and error:
            yield (line.model, line.served, line.deployment, line.provider, str(status), error), count


def _model_requests(line: Line) -> _Found:
    if line.deployment and (count := sum(line.outcomes.values())):
        yield _models(line), count


def _all_tokens(line: Line) -> _Found:
    if number := line.prompt + line.completion:
        yield _models(line), number


def _fallbacks(*, failed: bool) -> Callable[[Line], _Found]:
    def take(line: Line) -> _Found:
        if number := line.fallbacks_failed if failed else line.fallbacks - line.fallbacks_failed:
            yield (line.model, line.served, line.deployment), number

    return take


_LITELLM = (
    Family(
        "litellm_proxy_total_requests_metric",
        "counter",
        "Requests",
        ("requested_model", "route", "status_code", "model_id", "api_provider"),
        _all_requests,
    ),
    Family(
        "litellm_proxy_failed_requests_metric",
        "counter",
        "Requests that failed",
        ("requested_model", "route", "exception_status", "exception_class", "model_id", "api_provider"),
        _failed_requests,
    ),
    Family("litellm_requests_metric", "counter", "Requests to providers", _MODELS, _model_requests),
    Family("litellm_spend_metric", "counter", "Cost in US dollars", _MODELS, _number("usd", _models)),
    Family("litellm_total_tokens_metric", "counter", "Tokens", _MODELS, _all_tokens),
    Family("litellm_input_tokens_metric", "counter", "Tokens of prompts", _MODELS, _number("prompt", _models)),
    Family("litellm_output_tokens_metric", "counter", "Tokens of answers", _MODELS, _number("completion", _models)),
    Family(
        "litellm_input_cached_tokens_metric",
        "counter",
        "Tokens read from providers' caches",
        _MODELS,
        _number("cached", _models),
    ),
    Family(
        "litellm_input_cache_creation_tokens_metric",
        "counter",
        "Tokens written to providers' caches",
        _MODELS,
        _number("written", _models),
    ),
    Family(
        "litellm_output_reasoning_tokens_metric",
        "counter",
        "Tokens of reasoning",
        _MODELS,
        _number("reasoning", _models),
    ),
    Family(
        "litellm_request_total_latency_metric",
        "histogram",
        "Seconds of whole requests",
        _GROUP,
        _asked("total", _group),
    ),
    Family(
        "litellm_llm_api_latency_metric",
        "histogram",
        "Seconds spent waiting for providers",
        _GROUP,
        _asked("upstream", _group),
    ),
    Family(
        "litellm_llm_api_time_to_first_token_metric",
        "histogram",
        "Seconds to the first byte of a stream",
        _GROUP,
        _asked("first", _group),
    ),
    Family(
        "litellm_overhead_latency_metric",
        "histogram",
        "Seconds that were not spent waiting for providers",
        ("model_group", "litellm_model_name", "model_id", "api_provider"),
        _asked("overhead", lambda line: (line.model, line.served, line.deployment, line.provider)),
    ),
    Family("litellm_request_queue_time_seconds", "histogram", "Seconds in line", _MODELS, _asked("waits", _models)),
    Family(
        "litellm_deployment_total_requests",
        "counter",
        "Requests by the deployment that was called last",
        _DEPLOYMENT,
        _served(lambda error: True),
    ),
    Family(
        "litellm_deployment_success_responses",
        "counter",
        "Those that ended well",
        _DEPLOYMENT,
        _served(lambda error: not error),
    ),
    Family(
        "litellm_deployment_failure_responses",
        "counter",
        "Those that failed",
        (*_DEPLOYMENT, "exception_status", "exception_class"),
        _failed_by_deployment,
    ),
    Family(
        "litellm_deployment_successful_fallbacks",
        "counter",
        "Turns to another model that helped",
        ("requested_model", "fallback_model", "model_id"),
        _fallbacks(failed=False),
    ),
    Family(
        "litellm_deployment_failed_fallbacks",
        "counter",
        "Turns to another model that did not help",
        ("requested_model", "fallback_model", "model_id"),
        _fallbacks(failed=True),
    ),
    Family(
        "litellm_cache_hits_metric",
        "counter",
        "Answers from the response cache",
        ("requested_model",),
        _number("cache_hits", lambda line: (line.model,)),
    ),
)
_BOUNDS = {"quoth_overhead_seconds": OVERHEAD, "litellm_overhead_latency_metric": OVERHEAD}


class Gauge(NamedTuple):
    """A metric over deployments. `take` gives None for what is not known."""

    name: str
    help: str
    take: Callable[[State], float | None]
    labels: tuple[str, ...] = ("deployment", "model", "provider")


_LITELLM_STATE = ("model_id", "litellm_model_name", "api_provider")
_STATES = (
    Gauge("quoth_deployment_in_flight", "Calls under way", lambda one: one.in_flight),
    Gauge("quoth_deployment_cooling", "Models of a deployment that others come before now", lambda one: one.cooling),
    Gauge("quoth_deployment_key_refused", "1 while a deployment's key comes last", lambda one: float(one.key_refused)),
    Gauge("quoth_deployment_points", "Points left on a deployment's key, where they are known", lambda one: one.points),
    Gauge("litellm_deployment_state", "0 well, 1 in part, 2 not at all", lambda one: float(one.level), _LITELLM_STATE),
    Gauge("litellm_deployment_rpm_limit", "Requests a minute", lambda one: one.rpm, _LITELLM_STATE),
    Gauge("litellm_deployment_tpm_limit", "Tokens a minute", lambda one: one.tpm, _LITELLM_STATE),
)


_HOOK_FAILURES = (("quoth_hook_failures", "hook"), ("litellm_callback_logging_failures_metric", "callback_name"))
_HOOKS = "Hooks that failed or took too long"
_ERRORS = ("provider", "model", "status", "error")


class Metric(NamedTuple):
    """A metric as it stands on the page. `values`: label values to a number, or to a Histogram."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    values: Mapping[Any, Any]


def described() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Every metric: its name as it stands on the page, its kind, its labels, and what it says."""
    empty = Numbers(watched=dict.fromkeys(WATCHED, 0.0))
    return [(_shown(metric), metric.kind, metric.labels, metric.help) for metric in _metrics(empty)]


def page(numbers: Numbers) -> bytes:
    """Prometheus's text format. Written here, since prometheus_client's own writer takes a hundred times as long, and
    hundreds of models make for tens of thousands of lines."""
    lines: list[str] = []
    for metric in _metrics(numbers):
        name = _shown(metric)
        lines += (f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}")
        for values, number in metric.values.items():
            labels = ",".join(
                [f'{label}="{_escaped(value)}"' for label, value in zip(metric.labels, values, strict=True)]
            )
            if isinstance(number, Histogram):
                lines += _histogram_lines(name, labels, number)
            elif labels:
                lines.append(f"{name}{{{labels}}} {number!r}")
            else:
                lines.append(f"{name} {number!r}")
    lines.append("")
    return "\n".join(lines).encode("utf-8", "replace")


def _shown(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.kind == "counter" else metric.name


def _histogram_lines(name: str, labels: str, histogram: Histogram) -> list[str]:
    """Buckets are cumulative, as Prometheus wants them."""
    bounds = _TEXTS[_BOUNDS.get(name, LATENCY)]
    comma = "," if labels else ""
    start = f'{name}_bucket{{{labels}{comma}le="'
    lines = [f'{start}{bound}"}} {count}' for bound, count in zip(bounds, accumulate(histogram.counts), strict=True)]
    where = f"{{{labels}}}" if labels else ""
    lines += (f"{name}_count{where} {sum(histogram.counts)}", f"{name}_sum{where} {histogram.sum!r}")
    return lines


_TEXTS = {bounds: (*map(repr, bounds), "+Inf") for bounds in (LATENCY, OVERHEAD)}
_ODD = re.compile(r'[\\"\n]')
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _escaped(value: str) -> str:
    return value if _ODD.search(value) is None else value.translate(_ESCAPES)


def _metrics(numbers: Numbers) -> Iterator[Metric]:
    yield from _of_lines(numbers)
    yield from _of_deployments(numbers)
    yield from _of_others(numbers)


def _of_lines(numbers: Numbers) -> Iterator[Metric]:
    for family in (*_OWN, *_LITELLM):
        totals: dict[tuple[str, ...], Any] = {}
        for line in numbers.lines:
            for labels, number in family.take(line):
                _add(totals, labels, number)
        yield Metric(family.name, family.kind, family.help, family.labels, totals)
    failures = {
        (provider, model, str(status) if status else "", error): number
        for (provider, model, status, error), number in numbers.failures.items()
    }
    yield Metric("quoth_upstream_errors", "counter", "Attempts at providers that failed", _ERRORS, failures)


def _of_deployments(numbers: Numbers) -> Iterator[Metric]:
    for gauge in _STATES:
        states = {
            (state.deployment, state.model, state.provider): value
            for state in numbers.states
            if (value := gauge.take(state)) is not None
        }
        yield Metric(gauge.name, "gauge", gauge.help, gauge.labels, states)
    waiting = {(provider,): length for provider, length in numbers.waiting.items()}
    yield Metric("quoth_queue_length", "gauge", "Calls that wait their turn", ("provider",), waiting)


def _of_others(numbers: Numbers) -> Iterator[Metric]:
    for name, label in _HOOK_FAILURES:
        yield Metric(name, "counter", _HOOKS, (label,), {(hook,): n for hook, n in numbers.hook_failures.items()})
    for name in ("quoth_in_flight", "litellm_in_flight_requests"):
        yield _alone(name, "gauge", "Requests under way", numbers.in_flight)
    for key, (name, kind, text) in WATCHED.items():
        if key in numbers.watched:
            yield _alone(name, kind, text, numbers.watched[key])
    yield _alone("quoth_workers", "gauge", "Workers whose numbers are on this page", numbers.workers)
    yield Metric("quoth_build_info", "gauge", "Always 1", ("version",), {(__version__,): 1})
    for name, value in numbers.process.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield _alone(name.removesuffix("_total"), kind, "Of all workers together; the start of the oldest", value)


def _alone(name: str, kind: Literal["counter", "gauge"], text: str, value: float) -> Metric:
    return Metric(name, kind, text, (), {(): value})


def _add(totals: dict[tuple[str, ...], Any], labels: tuple[str, ...], number: Any) -> None:
    if not isinstance(number, Histogram):
        totals[labels] = totals.get(labels, 0) + number
        return
    if labels not in totals:
        totals[labels] = Histogram([0] * len(number.counts))
    totals[labels].add(number)
