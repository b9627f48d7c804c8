"""Metrics: every number where a dashboard looks for it, and never more lines than the settings have names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quoth.errors import RateLimitError
from quoth.gateway.exchange import Tokens
from quoth.gateway.metrics import CONTENT_TYPE, Metrics, described
from quoth.types import Attempt, Cost
from tests.gateway.exchanges import Clock, candidate, exchange, routes


def numbers(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The page as a scraper reads it: sample and labels to value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def value(page: bytes, name: str, **labels: str) -> float | None:
    return numbers(page).get((name, tuple(sorted(labels.items()))))


def total(page: bytes, name: str, **labels: str) -> float:
    """The sum of all series that have at least these labels, as `sum()` in a query."""
    return sum(
        number
        for (sample, found), number in numbers(page).items()
        if sample == name and labels.items() <= dict(found).items()
    )


def test_a_request_is_counted_with_all_that_is_known_of_it():
    table = routes()
    metrics = Metrics()
    metrics.over(
        exchange(
            model="small",
            known_model="small",
            candidate=candidate(table, "small"),
            tokens=Tokens(100, 20, cached=60, written=5, reasoning=7),
            cost=Cost(usd=Decimal("0.0125"), points=412, source="estimated"),
            bytes_in=300,
            bytes_out=900,
        )
    )
    page = metrics.render()
    where = {"model": "small", "provider": "poe"}
    route = {"route": "/v1/chat/completions", **where}
    assert value(page, "quoth_requests_total", **route, status="200", stream="false", error="") == 1
    found = {kind: value(page, "quoth_tokens_total", **where, kind=kind) for kind in ("prompt", "completion")}
    assert found == {"prompt": 100, "completion": 20}
    assert value(page, "quoth_tokens_total", **where, kind="cached") == 60
    assert value(page, "quoth_tokens_total", **where, kind="written") == 5
    assert value(page, "quoth_tokens_total", **where, kind="reasoning") == 7
    assert value(page, "quoth_cost_usd_total", **where) == pytest.approx(0.0125)
    assert value(page, "quoth_cost_points_total", **where) == 412
    assert value(page, "quoth_request_seconds_sum", **route) == pytest.approx(0.5)
    assert value(page, "quoth_request_seconds_bucket", **route, le="0.25") == 0
    assert value(page, "quoth_request_seconds_bucket", **route, le="0.5") == 1
    assert value(page, "quoth_upstream_seconds_sum", **where) == pytest.approx(0.4)
    assert value(page, "quoth_overhead_seconds_sum", route="/v1/chat/completions") == pytest.approx(0.1)
    assert value(page, "quoth_received_bytes_total", route="/v1/chat/completions") == 300
    assert value(page, "quoth_sent_bytes_total", route="/v1/chat/completions") == 900
    assert value(page, "quoth_first_byte_seconds_count", **where) is None, "only streams have one"


def test_litellms_names_have_the_same_numbers():
    table = routes()
    metrics = Metrics()
    facts: dict[str, Any] = {
        "known_model": "small",
        "candidate": candidate(table, "small"),
        "tokens": Tokens(100, 20, cached=60),
        "cost": Cost(usd=Decimal("0.5")),
    }
    metrics.over(exchange(**facts))
    metrics.over(exchange(**facts, stream=True, first_at=10.2))
    metrics.over(exchange(**{**facts, "tokens": None, "cost": None}, status=502, error="upstream_error"))
    page = metrics.render()
    model = {"requested_model": "small", "model": "GPT-5.2", "model_id": "d1", "api_provider": "poe"}
    assert total(page, "litellm_proxy_total_requests_metric_total", requested_model="small") == 3
    assert total(page, "litellm_proxy_total_requests_metric_total", status_code="200") == 2
    failed = {"exception_status": "502", "exception_class": "upstream_error"}
    assert total(page, "litellm_proxy_failed_requests_metric_total", **failed) == 1
    assert value(page, "litellm_requests_metric_total", **model) == 3
    assert value(page, "litellm_spend_metric_total", **model) == 1.0
    assert value(page, "litellm_total_tokens_metric_total", **model) == 240
    assert value(page, "litellm_input_tokens_metric_total", **model) == 200
    assert value(page, "litellm_output_tokens_metric_total", **model) == 40
    assert value(page, "litellm_input_cached_tokens_metric_total", **model) == 120
    group = {"model_group": "small", **model}
    assert value(page, "litellm_request_total_latency_metric_count", **group) == 3
    assert value(page, "litellm_llm_api_latency_metric_count", **group) == 3
    assert value(page, "litellm_llm_api_time_to_first_token_metric_count", **group) == 1
    assert total(page, "litellm_overhead_latency_metric_count", litellm_model_name="poe/GPT-5.2") == 3
    assert total(page, "litellm_deployment_total_requests_total", model_id="d1") == 3
    assert total(page, "litellm_deployment_success_responses_total", model_id="d1") == 2
    assert total(page, "litellm_deployment_failure_responses_total", **failed) == 1


def test_what_asked_for_no_model_is_in_no_latency_of_models():
    metrics = Metrics()
    metrics.over(exchange(route="/health/liveliness", surface="health"))
    page = metrics.render()
    assert total(page, "quoth_request_seconds_count", route="/health/liveliness") == 1
    assert total(page, "litellm_request_total_latency_metric_count") == 0
    assert total(page, "litellm_requests_metric_total") == 0


def test_attempts_that_failed_retries_and_fallbacks():
    table = routes()
    metrics = Metrics()
    attempts = [
        Attempt("poe", "GPT-5.2", "openai_chat", 0.1, 429, "RateLimitError", "slow down"),
        Attempt("poe", "GPT-5.2", "openai_chat", 0.1, None, "APIConnectionError", "no route"),
        Attempt("poe", "Claude-Sonnet-4.6", "openai_chat", 0.1, 200),
    ]
    metrics.over(exchange(known_model="small", candidate=candidate(table, "small"), attempts=attempts, fallbacks=1))
    page = metrics.render()
    where = {"provider": "poe", "model": "small"}
    assert value(page, "quoth_upstream_errors_total", **where, status="429", error="RateLimitError") == 1
    assert value(page, "quoth_upstream_errors_total", **where, status="", error="APIConnectionError") == 1
    assert value(page, "quoth_retries_total", **where) == 1
    assert value(page, "quoth_fallbacks_total", **where) == 1
    assert total(page, "litellm_deployment_successful_fallbacks_total", requested_model="small") == 1
    assert total(page, "litellm_deployment_failed_fallbacks_total") == 0


def test_waits_departures_hits_and_unknown_costs():
    table = routes()
    metrics = Metrics()
    metrics.over(exchange(known_model="small", candidate=candidate(table, "small"), waited=0.3, left=True))
    metrics.over(exchange(known_model="small", cache_hit=True))
    page = metrics.render()
    where = {"model": "small", "provider": "poe"}
    assert value(page, "quoth_queue_wait_seconds_sum", **where) == pytest.approx(0.3)
    assert value(page, "quoth_upstream_seconds_sum", **where) == pytest.approx(0.1), "lines are not the provider's"
    assert value(page, "quoth_cost_unknown_total", **where) == 1
    assert total(page, "quoth_clients_left_total") == 1
    assert total(page, "quoth_cache_hits_total", model="small") == 1
    assert total(page, "litellm_cache_hits_metric_total", requested_model="small") == 1


def test_names_that_callers_make_up_are_no_labels():
    """S21: neither unknown models, nor what a wildcard makes of a name, nor how it is written."""
    table = routes()
    metrics = Metrics()
    for number in range(3_000):
        name = f"poe/made-up-{number}"
        metrics.over(exchange(model=name, status=404, error="not_found_error"))
        metrics.over(exchange(model=name, candidate=candidate(table, name)))
    for name in ("poe/claude-sonnet-4.6", "poe/CLAUDE-SONNET-4.6"):
        metrics.over(exchange(model=name, known_model="poe/*", candidate=candidate(table, name)))
    page = metrics.render()
    assert b"made-up" not in page
    assert len(metrics.numbers().lines) == 3
    assert total(page, "quoth_requests_total", model="", error="not_found_error") == 3_000
    assert total(page, "litellm_deployment_total_requests_total", litellm_model_name="poe/*") == 3_000
    assert total(page, "litellm_deployment_total_requests_total", litellm_model_name="poe/claude-sonnet-4.6") == 2


def test_lines_have_a_bound_whoever_names_them():
    metrics = Metrics()
    for number in range(5_000):
        metrics.over(exchange(known_model=f"m{number}", error=f"e{number}", status=400))
        failed = [Attempt("p", "m", "w", 0.1, 500, f"Error{number}")]
        metrics.over(exchange(known_model="", error=f"e{number}", status=400, attempts=failed))
    found = metrics.numbers()
    assert len(found.lines) <= 2_010
    assert len(found.failures) <= 1_010
    assert max(len(line.outcomes) for line in found.lines) <= 210
    assert sum(sum(line.outcomes.values()) for line in found.lines) == 10_000, "and none is lost"


def test_deployments_that_others_come_before():
    clock = Clock()
    table = routes(clock)
    metrics = Metrics()
    metrics.routes = table
    one = candidate(table, "small")
    one.begun(clock.now)
    one.key.balance(120.0)
    assert value(metrics.render(), "litellm_deployment_state", **LITELLM_D1) == 0
    one.failed(clock.now, RateLimitError("slow down", retry_after=30.0))
    page = metrics.render()
    assert value(page, "litellm_deployment_state", **LITELLM_D1) == 2
    assert value(page, "quoth_deployment_cooling", **D1) == 1
    assert value(page, "quoth_deployment_points", **D1) == 120
    clock.now += 31.0
    assert value(metrics.render(), "quoth_deployment_cooling", **D1) == 0


D1 = {"deployment": "d1", "model": "poe/GPT-5.2", "provider": "poe"}
LITELLM_D1 = {"model_id": "d1", "litellm_model_name": "poe/GPT-5.2", "api_provider": "poe"}


def test_lines_in_front_of_a_pace_are_seen():
    table = routes()
    metrics = Metrics()
    metrics.routes = table
    one = candidate(table, "small")
    assert one.pace is not None
    one.pace.join("somebody")
    one.pace.join("somebody else")
    assert value(metrics.render(), "quoth_queue_length", provider="poe") == 2


def test_workers_add_up():
    table = routes()
    one, two, three = Metrics(3), Metrics(3), Metrics(3)
    for metrics, count in ((one, 1), (two, 2), (three, 3)):
        metrics.routes = table
        metrics.in_flight = count
        metrics.watch("log_lines_dropped", lambda: 5)
        metrics.watch_hooks(lambda: {"my.hook": 2})
        for _ in range(count):
            metrics.over(
                exchange(
                    known_model="small",
                    candidate=candidate(table, "small"),
                    tokens=Tokens(10, 5),
                    attempts=[Attempt("poe", "m", "w", 0.1, 500, "InternalServerError"), Attempt("poe", "m", "w", 0.1)],
                )
            )
    others = [two.snapshot(), three.snapshot()]
    page = one.render(others)
    assert total(page, "quoth_requests_total") == 6
    assert total(page, "quoth_tokens_total", kind="prompt") == 60
    assert total(page, "quoth_request_seconds_count") == 6
    assert total(page, "quoth_upstream_errors_total") == 6
    assert value(page, "quoth_in_flight") == 6
    assert value(page, "quoth_log_lines_dropped_total") == 15
    assert value(page, "quoth_hook_failures_total", hook="my.hook") == 6
    assert value(page, "quoth_workers") == 3
    assert total(one.render(), "quoth_requests_total") == 1, "asking the others changes nothing here"


async def test_a_long_page_is_the_same_page():
    metrics = Metrics()
    for number in range(100):
        metrics.over(exchange(known_model=f"m{number}"))
    page = await metrics.page([metrics.snapshot()])
    assert total(page, "quoth_requests_total") == 200


def test_labels_are_escaped():
    odd = 'a "quoted" \\ name\nof two lines'
    metrics = Metrics()
    metrics.over(exchange(known_model=odd))
    assert total(metrics.render(), "quoth_requests_total", model=odd) == 1


def test_of_a_worker_that_is_no_more_the_counts_stay():
    gone, here = Metrics(2), Metrics(2)
    gone.routes = here.routes = routes()
    gone.in_flight = 5
    for name in ("log_lines_dropped", "cache_entries"):
        gone.watch(name, lambda: 7)
        here.watch(name, lambda: 1)
    gone.over(exchange())
    page = here.render(departed=[gone.snapshot()])
    assert total(page, "quoth_requests_total") == 1
    assert value(page, "quoth_in_flight") == 0
    assert value(page, "quoth_workers") == 1
    assert value(page, "quoth_log_lines_dropped_total") == 8
    assert value(page, "quoth_cache_entries") == 1
    alone = value(here.render(), "process_resident_memory_bytes")
    assert alone is None or (value(page, "process_resident_memory_bytes") or 0) < 1.5 * alone


def test_a_streams_own_time_is_what_was_before_its_first_byte():
    """What comes after depends on the provider and on how fast the caller reads."""
    table = routes()
    metrics = Metrics()
    facts = {"known_model": "small", "candidate": candidate(table, "small"), "stream": True}
    metrics.over(exchange(**facts, first_at=10.2, upstream_seconds=0.19, ended=15.0))
    page = metrics.render()
    assert value(page, "quoth_overhead_seconds_sum", route="/v1/chat/completions") == pytest.approx(0.01)
    assert value(page, "quoth_upstream_seconds_sum", model="small", provider="poe") == pytest.approx(4.99)


def test_the_process_is_on_the_page():
    page = Metrics().render()
    memory = value(page, "process_resident_memory_bytes")
    assert memory is None or memory > 1_000_000  # only Linux tells
    assert total(page, "quoth_build_info") == 1


def test_two_workers_started_when_the_older_did():
    page = Metrics().render([Metrics().snapshot()])
    alone = value(Metrics().render(), "process_start_time_seconds")
    assert value(page, "process_start_time_seconds") == alone


def test_names_are_unique_and_the_page_is_what_its_type_says():
    found = [name for name, *_ in described()]
    assert len(found) == len(set(found))
    assert CONTENT_TYPE.startswith("text/plain")
    assert b"# TYPE quoth_requests_total counter" in Metrics().render()
