"""Routing keys in their two sections, fallbacks that lead somewhere and never back (S4, S5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.settings.conftest import Written

THREE = """\
model_list:
  - {model_name: a, litellm_params: {model: poe/GPT-5}}
  - {model_name: b, litellm_params: {model: poe/GPT-4o}}
  - {model_name: "team-*", litellm_params: {model: "poe/*"}}
"""


def router(text: str) -> str:
    return f"{THREE}router_settings:\n  model_group_alias: {{other: a}}\n  {text}\n"


def test_what_is_handed_on(written: Written) -> None:
    text = (
        f"{THREE}litellm_settings: {{num_retries: 3, request_timeout: 2m, fallbacks: [{{a: [b]}}]}}\n"
        "router_settings: {routing_strategy: latency-based-routing, routing_strategy_args: {ttl: 1h},\n"
        "  cooldown_time: 0, default_fallbacks: b, retry_policy: {TimeoutErrorRetries: 1}, \n"
        "  enable_tag_filtering: true}\n"
    )
    assert written.load(text).routing == {
        "num_retries": 3,
        "timeout": 120.0,
        "fallbacks": [{"a": ["b"]}],
        "routing_strategy": "latency-based-routing",
        "routing_strategy_args": {"ttl": 3600.0},
        "cooldown_time": 0.0,
        "default_fallbacks": ["b"],
        "retry_policy": {"TimeoutErrorRetries": 1},
        "enable_tag_filtering": True,
    }
    assert written.load(THREE).routing == {}


def test_router_settings_win_and_both_places_are_named(written: Written) -> None:
    text = (
        f"{THREE}litellm_settings:\n  request_timeout: 10\n  num_retries: 2\n"
        "router_settings:\n  timeout: 20\n  num_retries: 2\n"
    )
    settings = written.load(text)
    assert settings.routing == {"timeout": 20.0, "num_retries": 2}
    (warning,) = [problem for problem in settings.warnings if problem.path]
    assert (warning.line, warning.path) == (6, "litellm_settings.request_timeout")
    assert "router_settings.timeout at " in warning.message
    assert warning.message.endswith("config.yaml:9:3 says something else, and wins")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("num_retries: -1", "num_retries: it is -1; it has to be a whole number, 0 or more"),
        ("num_retries: lots", "num_retries: it is 'lots'; it has to be a whole number"),
        ("timeout: [1]", "timeout: it is a list; it has to be seconds"),
        ("cooldown_time: -5", "cooldown_time: it is -5; it has to be seconds"),
        ("disable_cooldowns: 1", "disable_cooldowns: it is 1; it has to be true or false"),
        ("routing_strategy: least_busy", "routing_strategy: it is 'least_busy'; it has to be one of simple-shuffle, "),
        ("routing_strategy: [x]", "routing_strategy: it is a list; it has to be one of"),
        ("routing_strategy_args: 3", "routing_strategy_args: it is 3; it has to be a mapping"),
        (
            "routing_strategy_args: {tll: 3}",
            "routing_strategy_args.tll: tll is not known here; there are lowest_",
        ),
        ("routing_strategy_args: {ttl: x}", "routing_strategy_args.ttl: it is 'x'; it has to be seconds"),
        ("retry_policy: {x: 1}", "retry_policy.x: x is not known here; there are BadRequestErrorRetries, "),
        ("retry_policy: {TimeoutErrorRetries: x}", "retry_policy.TimeoutErrorRetries: it is 'x'; it has to be a whole"),
        ("model_group_retry_policy: {c: {}}", "model_group_retry_policy.c: model_list has no 'c'"),
        ("allowed_fails_policy: [x]", "allowed_fails_policy: it is a list; it has to be a mapping"),
        ("default_fallbacks: [c]", "default_fallbacks[0]: model_list has no 'c'"),
        ("default_fallbacks: [{model: c}]", "default_fallbacks[0]: model_list has no 'c'"),
        ("default_fallbacks: 3", "default_fallbacks: it is 3; it has to be a list"),
        ("fallbacks: x", "fallbacks: it has to be a list of mappings such as"),
        ("fallbacks: [x]", "fallbacks[0]: it has to be in a list of mappings such as"),
        ("fallbacks: [{a: 3}]", "fallbacks[0].a: it is 3; it has to be a list"),
        ("fallbacks: [{a: [3]}]", "fallbacks[0].a[0]: a fallback is the name of a model, or a mapping with model"),
        ("fallbacks: [{a: [{messages: []}]}]", "fallbacks[0].a[0]: a fallback is the name of a model, or a mapping"),
        ("fallbacks: [{c: [a]}]", "fallbacks[0].c: model_list has no 'c'"),
        ("fallbacks: [{a: [othr]}]", "fallbacks[0].a[0]: model_list has no 'othr'; did you mean other?"),
        ("fallbacks: [{a: [b]}, {a: [other]}]", "fallbacks[1].a: 'a' has fallbacks above, at "),
        ("context_window_fallbacks: [{a: [c]}]", "context_window_fallbacks[0].a[0]: model_list has no 'c'"),
        ("fallbacks: [{a: [a]}]", "fallbacks[0].a: these fallbacks go in a circle: a -> a"),
        ("fallbacks: [{a: [b]}, {b: [a]}]", "fallbacks[0].a: these fallbacks go in a circle: a -> b -> a"),
        ("fallbacks: [{a: [other]}]", "fallbacks[0].a: these fallbacks go in a circle: a -> a"),
        (
            "fallbacks: {a: [team-x], team-x: b, b: [{model: a, max_tokens: 5}]}",
            "fallbacks[0].a: these fallbacks go in",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(written: Written, text: str, said: str) -> None:
    assert any(f"router_settings.{said}" in error for error in written.errors(router(text)))


def test_a_circle_is_said_once_and_others_too(written: Written) -> None:
    text = "fallbacks: [{a: [b]}, {b: [team-1]}, {team-1: [a, b]}, {team-2: [a]}]"
    errors = written.errors(router(text))
    assert [error.partition(": these")[2] for error in errors] == [
        " fallbacks go in a circle: a -> b -> team-1 -> a",
        " fallbacks go in a circle: b -> team-1 -> b",
    ]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("fallbacks: [{a: [b, team-x]}, {b: other2}]", None),
        ("fallbacks: [{a: [b]}, {'*': [a]}]", [{"a": ["b"]}, {"*": ["a"]}]),
        ("fallbacks: {a: b}", [{"a": ["b"]}]),
        ("fallbacks: [{a: {model: b, temperature: 0}}]", [{"a": [{"model": "b", "temperature": 0}]}]),
        ("fallbacks: [{other: [b]}]", [{"other": ["b"]}]),
        ("fallbacks: []", []),
    ],
)
def test_forms_of_fallbacks(written: Written, text: str, read: Any) -> None:
    if read is None:
        assert "fallbacks[1].b[0]: model_list has no 'other2'" in written.error(router(text))
    else:
        assert written.load(router(text)).routing["fallbacks"] == read


def test_circles_over_kinds_are_none(written: Written) -> None:
    settings = written.load(router("fallbacks: [{b: [a]}]\n  context_window_fallbacks: [{a: [b]}]"))
    assert set(settings.routing) == {"fallbacks", "context_window_fallbacks"}


def test_deadlines_of_each_kind(written: Written) -> None:
    settings = written.load(router("timeout: {connect: 2, first: 90s, total: 10m}"))
    assert settings.routing["timeout"] == {"connect": 2.0, "first": 90.0, "total": 600.0}
    assert "router_settings.timeout.frist: frist is not known here; did you mean first?" in written.error(
        router("timeout: {frist: 1}")
    )


def test_how_litellm_measures_has_no_effect(written: Written) -> None:
    settings = written.load(router("routing_strategy_args: {ttl: 3, rolling_window_size: 5}"))
    assert settings.routing["routing_strategy_args"] == {"ttl": 3.0}
    assert "router_settings.routing_strategy_args.rolling_window_size" in str(settings.warnings)
