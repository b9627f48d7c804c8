"""LiteLLM's words become deployments, options and routes, or an error that has the path of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from quoth import errors
from quoth.call import Timeouts
from quoth.engine.routing import Deployment, Routes, cycles, deployment_from, options_from, problems
from quoth.providers.catalogue import shipped
from quoth.providers.rows import Registry
from tests.engine.crowd import ELSEWHERE, Crowd, entry

ENVIRONMENT = {"POE_API_KEY": "key-of-poe", "OPENAI_API_KEY": "key-of-openai", "NAME": "value"}


def deployment(params: Mapping[str, Any], name: str = "m", **more: Any) -> Deployment:
    given = {"model_name": name, "litellm_params": {"model": "poe/a", **params}, **more}
    return deployment_from(given, Registry(), ENVIRONMENT, where="model_list[3]")


def test_litellms_example_for_poe() -> None:
    found = deployment_from(
        {
            "model_name": "poe-model",
            "litellm_params": {"model": "poe/Claude-Opus-4.6", "api_key": "os.environ/POE_API_KEY"},
        },
        Registry(),
        ENVIRONMENT,
    )
    target = found.target(None)
    assert (target.provider, target.model, target.key) == ("poe", "Claude-Opus-4.6", "key-of-poe")
    assert target.base_url == "https://api.poe.com/v1"
    assert target.catalogue is not None
    assert not found.params


def test_every_word() -> None:
    found = deployment(
        {
            "weight": "2",
            "order": 1,
            "rpm": 60,
            "tpm": "1000",
            "max_parallel_requests": 3,
            "timeout": 10,
            "stream_timeout": {"first": 3},
            "max_retries": 1,
            "cooldown_time": 7.5,
            "tags": ["free"],
            "drop_params": True,
            "additional_drop_params": ["seed"],
            "allowed_openai_params": ["store"],
            "input_cost_per_token": 1.5e-6,
            "output_cost_per_token": "0.00001",
            "mock_response": "hello",
            "temperature": 0.5,
            "extra_body": {"x": "os.environ/NAME"},
            "region_name": "eu",
            "extra_headers": {"X-Team": "os.environ/NAME"},
            "organization": "org",
        },
        model_info={"id": "mine", "base_model": "gpt", "input_cost_per_token": 9},
    )
    assert (found.id, found.model_name, found.model) == ("mine", "m", "poe/a")
    assert (found.weight, found.order, found.rpm, found.tpm, found.max_parallel) == (2, 1, 60, 1000, 3)
    assert found.timeouts == Timeouts(total=10)
    assert found.stream_timeouts == Timeouts(first=3)
    assert (found.num_retries, found.cooldown_time, found.tags) == (1, 7.5, ("free",))
    assert found.drop_params is True
    assert (found.additional_drop_params, found.allowed_openai_params) == (("seed",), ("store",))
    assert found.price == {"prompt": "1.5e-06", "completion": "0.00001"}
    assert found.mock_response == "hello"
    assert found.params == {"temperature": 0.5, "extra_body": {"x": "value"}}, "what nobody knows is sent"
    headers = found.target(None).headers
    assert (headers["x-team"], headers["openai-organization"]) == ("value", "org")
    assert found.info["base_model"] == "gpt"


def test_an_id_may_be_a_number() -> None:
    assert deployment({}, model_info={"id": 7}).id == "7"


def test_an_id_is_the_same_for_the_same_entry_and_gives_nothing_away() -> None:
    one, same, other = deployment({"seed": 1}), deployment({"seed": 1}), deployment({"seed": 2})
    assert one.id == same.id != other.id
    assert deployment({"api_key": "sk-one"}).id != deployment({"api_key": "sk-two"}).id
    assert "key-of-poe" not in repr(one)
    assert "sk-one" not in repr(deployment({"api_key": "sk-one", "extra_headers": {"x-key": "sk-one"}}))


@pytest.mark.parametrize(
    ("params", "path", "says"),
    [
        ({"model": None}, "litellm_params.model", "missing"),
        ({"model": "nobody/a"}, "litellm_params.model", "not a provider"),
        ({"model": "a"}, "litellm_params.model", "does not say whose"),
        ({"model": "poe/*"}, "litellm_params.model", "nothing in model_name"),
        ({"model": "p*e/*"}, "litellm_params.model", "more than one"),
        ({"model": "mistral/a"}, "litellm_params.api_key", "MISTRAL_API_KEY"),
        ({"api_key": "os.environ/GONE"}, "litellm_params.api_key", "GONE is unset"),
        ({"extra_body": {"a": ["os.environ/GONE"]}}, "litellm_params.extra_body.a[0]", "GONE"),
        ({"api_key": " "}, "litellm_params.api_key", "blank"),
        ({"api_key": "a\nb"}, "litellm_params.api_key", "line break"),
        ({"api_base": "ftp://x"}, "litellm_params.api_base", "not a URL"),
        ({"api_base": "https://api.openai.com/v1"}, "litellm_params.api_key", "is not sent there"),
        ({"rpm": 0}, "litellm_params.rpm", "more than 0"),
        ({"rpm": "many"}, "litellm_params.rpm", "a number"),
        ({"weight": -1}, "litellm_params.weight", "at least 0"),
        ({"weight": True}, "litellm_params.weight", "a number"),
        ({"order": 1.5}, "litellm_params.order", "whole number"),
        ({"max_parallel_requests": 0}, "litellm_params.max_parallel_requests", "at least 1"),
        ({"timeout": 0}, "litellm_params.timeout", "more than 0"),
        ({"timeout": {"frist": 1}}, "litellm_params.timeout", "frist"),
        ({"tags": {"a": 1}}, "litellm_params.tags", "a list of texts"),
        ({"drop_params": "yes"}, "litellm_params.drop_params", "true or false"),
        ({"disable_quirks": ["x"]}, "litellm_params.disable_quirks", "not a quirk"),
        ({"wire": "morse"}, "litellm_params.wire", "openai_chat"),
        ({"extra_headers": {"a": "b\n"}}, "litellm_params.extra_headers", "header"),
        ({"extra_headers": ["a"]}, "litellm_params.extra_headers", "an object"),
    ],
)
def test_what_is_wrong_has_its_path(params: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(errors.QuothError) as caught:
        deployment(params)
    assert caught.value.param == f"model_list[3].{path}"
    assert caught.value.message.startswith(f"model_list[3].{path}: ")
    assert says in caught.value.message


def test_what_is_no_entry_at_all() -> None:
    for entry_, path in (({}, "model_name"), ({"model_name": "m"}, "litellm_params.model"), ("m", "the deployment")):
        with pytest.raises(errors.BadRequestError) as caught:
            deployment_from(entry_, Registry(), {})  # type: ignore[arg-type]
        assert caught.value.param == path


# --- Names -----------------------------------------------------------------------------------------------------------


def routes(*entries: dict[str, Any], aliases: dict[str, Any] | None = None, **options: Any) -> Routes:
    return Crowd(entries, options, aliases=aliases).routes


def found(routes: Routes, name: str) -> str | None:
    group = routes.find(name)
    return None if group is None else group.candidates[0].model


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("exact", "poe/a"),
        ("short", "poe/a"),
        ("hidden", "poe/a"),
        ("poe/X", "poe/X"),
        ("poe/claude-x", "poe/Claude-x"),
        ("X", "poe/X"),
        ("Poe/X", "poe/X"),
        ("openai/gpt", "poe/openai/gpt"),
        ("org/x", "poe/org/x"),
        ("big-x-v1", "openai/x"),
    ],
)
def test_names(name: str, model: str) -> None:
    all_of_them = routes(
        entry("poe/a", "exact"),
        entry("poe/*", "*"),
        entry("poe/*", "poe/*"),
        entry("poe/Claude-*", "poe/claude-*"),
        entry("openai/*", "big-*-v1"),
        aliases={"short": "exact", "hidden": {"model": "exact", "hidden": True}},
    )
    assert found(all_of_them, name) == model
    assert all_of_them.find(name) is all_of_them.find(name)
    assert all_of_them.names() == ["exact", "*", "poe/*", "poe/claude-*", "big-*-v1", "short"]


def test_names_that_nothing_has() -> None:
    some = routes(entry("poe/*", "poe/*"), entry("poe/a", "exact"))
    for name in ("else", "poe/", "poe/*", "Exact", "", "poe/" + "x" * 1000):
        assert some.find(name) is None


def test_a_wildcard_for_any_provider() -> None:
    crowd = Crowd([], {})
    any_of_them = deployment({"model": "*", "api_key": None, "api_base": None}, "*")
    some = Routes([any_of_them], world=crowd.world)
    group = some.find("openai/gpt-5")
    assert group is not None
    assert group.candidates[0].target.key == "key-of-openai"
    assert group.candidates[0].pace is None
    poe = some.find("poe/a")
    assert poe is not None
    assert poe.candidates[0].pace is not None
    assert poe.candidates[0].pace is some.find("poe/b").candidates[0].pace  # type: ignore[union-attr]
    with pytest.raises(errors.BadRequestError):
        some.find("nobody/x")


def test_a_model_of_its_own_behind_a_wildcard() -> None:
    assert found(routes(entry("poe/a", "gpt-*")), "gpt-4") == "poe/a"


def test_what_is_kept_of_names_that_callers_choose_has_a_bound() -> None:
    some = routes(entry("poe/*", "*"))
    for number in range(1500):
        some.find(f"model-{number}")
    assert len(list(some.candidates())) == 1000


def test_a_catalogue_reaches_the_target() -> None:
    own = shipped()
    given = {"model_name": "m", "litellm_params": {"model": "poe/a"}}
    made = deployment_from(given, Registry(), ENVIRONMENT, headers={"User-Agent": "me"}, catalogue=lambda url: own)
    assert made.target(None).catalogue is own
    assert made.target(None).headers["user-agent"] == "me"


# --- Options ---------------------------------------------------------------------------------------------------------


def test_options() -> None:
    given = options_from(
        {
            "routing_strategy": "latency-based-routing",
            "routing_strategy_args": {"ttl": 10, "lowest_latency_buffer": 0.1},
            "num_retries": 1,
            "timeout": 9,
            "stream_timeout": "3",
            "fallbacks": [{"a": ["b"]}, {"c": ["d", {"model": "e", "x": 1}]}],
            "default_fallbacks": ["z"],
            "max_fallbacks": 2,
            "cooldown_time": 1,
            "allowed_fails": 3,
            "disable_cooldowns": False,
            "retry_after": 2,
            "enable_tag_filtering": True,
            "retry_policy": {"TimeoutErrorRetries": 1},
            "model_group_alias": {"x": "y"},
            "max_wait": 4,
            "whatever": 1,
        }
    )
    assert (given.strategy, given.ttl, given.buffer, given.num_retries) == ("latency-based", 10, 0.1, 1)
    assert (given.timeouts, given.stream_timeouts) == (Timeouts(total=9), Timeouts(total=3))
    assert given.fallbacks == {"a": ("b",), "c": ("d", {"model": "e", "x": 1})}
    assert (given.default_fallbacks, given.max_fallbacks) == (("z",), 2)
    assert (given.cooldown_time, given.allowed_fails, given.retry_after, given.max_wait) == (1, 3, 2, 4)
    assert given.tag_filtering is True
    assert given.retries("a", errors.Timeout("")) == (1, True)
    assert given.retries("a", errors.RateLimitError("")) is None
    assert options_from({}).num_retries == 2


@pytest.mark.parametrize(
    ("word", "value", "path"),
    [
        ("routing_strategy", "random", "routing_strategy"),
        ("num_retries", -1, "num_retries"),
        ("num_retries", "two", "num_retries"),
        ("timeout", -1, "timeout"),
        ("fallbacks", "a", "fallbacks"),
        ("fallbacks", ["a"], "fallbacks[0]"),
        ("fallbacks", [{"a": 1}], "fallbacks[0].a"),
        ("fallbacks", [{"a": [1]}], "fallbacks[0].a[0]"),
        ("fallbacks", [{"a": ["b"]}, {"a": ["c"]}], "fallbacks[1].a"),
        ("default_fallbacks", [{"x": 1}], "default_fallbacks[0]"),
        ("retry_policy", {"Whatever": 1}, "retry_policy.Whatever"),
        ("retry_policy", {"TimeoutErrorRetries": -1}, "retry_policy.TimeoutErrorRetries"),
        ("model_group_retry_policy", {"a": {"x": 1}}, "model_group_retry_policy.a.x"),
        ("allowed_fails_policy", {"TimeoutErrorRetries": 1}, "allowed_fails_policy.TimeoutErrorRetries"),
        ("routing_strategy_args", 5, "routing_strategy_args"),
        ("routing_strategy_args", {"ttl": 0}, "routing_strategy_args.ttl"),
        ("enable_tag_filtering", "on", "enable_tag_filtering"),
        ("cooldown_time", "long", "cooldown_time"),
    ],
)
def test_what_is_wrong_with_options_has_its_path(word: str, value: Any, path: str) -> None:
    with pytest.raises(errors.BadRequestError) as caught:
        options_from({word: value})
    assert caught.value.param == f"router_settings.{path}"


@pytest.mark.parametrize(
    ("fallbacks", "expected"),
    [
        ([{"a": ["b"]}], []),
        ([{"a": ["b", "c"]}, {"b": ["c"]}], []),
        ([{"a": ["a"]}], [["a", "a"]]),
        ([{"a": ["b"]}, {"b": ["c"]}, {"c": ["a"]}], [["a", "b", "c", "a"]]),
        ([{"a": ["b"]}, {"b": [{"model": "a"}]}, {"x": ["a"]}], [["a", "b", "a"]]),
        ([{"*": ["a"]}, {"a": ["b"]}], []),
    ],
)
def test_cycles(fallbacks: list[Any], expected: list[list[str]]) -> None:
    assert cycles(options_from({"fallbacks": fallbacks})) == [("fallbacks", cycle) for cycle in expected]


def test_to_a_larger_one_and_back_for_another_reason_is_no_cycle() -> None:
    options = {"context_window_fallbacks": [{"small": ["large"]}], "fallbacks": [{"large": ["small"]}]}
    assert cycles(options_from(options)) == []


@pytest.mark.parametrize(
    ("entries", "options", "aliases", "path", "says"),
    [
        ([entry(), entry()], {}, {}, "model_list[1]", "the same as model_list[0]"),
        ([entry(info={"id": "x"}), entry("poe/b", info={"id": "x"})], {}, {}, "model_list[1].model_info.id", "'x'"),
        ([entry(weight=0), entry(key="two", weight=0)], {}, {}, "model_list", "all 0"),
        ([entry()], {}, {"m": "m"}, "router_settings.model_group_alias.m", "hide"),
        ([entry(name="fast")], {}, {"x": "fats"}, "router_settings.model_group_alias.x", "did you mean 'fast'"),
        ([entry()], {}, {"x": "y", "y": "m"}, "router_settings.model_group_alias.x", "'y'"),
        ([entry()], {"fallbacks": [{"n": ["m"]}]}, {}, "router_settings.fallbacks", "'n'"),
        ([entry()], {"fallbacks": [{"m": ["n"]}]}, {}, "router_settings.fallbacks.m", "'n'"),
        ([entry()], {"default_fallbacks": ["n"]}, {}, "router_settings.default_fallbacks", "'n'"),
        ([entry()], {"fallbacks": [{"m": ["m"]}]}, {}, "router_settings.fallbacks", "m -> m"),
    ],
)
def test_what_settings_may_not_say_together(
    entries: list[Any], options: dict[str, Any], aliases: dict[str, Any], path: str, says: str
) -> None:
    deployments = [deployment_from(one, Registry(), {}) for one in entries]
    [problem] = problems(deployments, options_from(options), aliases)
    assert problem.path == path
    assert says in problem.message
    with pytest.raises(errors.BadRequestError) as caught:
        Routes(deployments, options_from(options), aliases=aliases, world=Crowd([]).world)
    assert caught.value.param == path


def test_fallbacks_may_name_what_a_wildcard_matches() -> None:
    some = routes(entry("poe/*", "poe/*"), fallbacks=[{"poe/a": ["poe/b"]}])
    assert found(some, "poe/a") == "poe/a"


def test_each_entry_may_have_a_host_of_its_own() -> None:
    assert deployment({"api_base": ELSEWHERE, "api_key": "x"}).target(None).base_url == ELSEWHERE
