"""The four kinds of keys: those that work, those without effect, those that are not enforced, and unknown ones (S2)."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable

import pytest

from quoth.gateway.settings import Refused, deployments, extensions, own, routing
from quoth.gateway.settings.known import KINDS, TOP, known, providers
from quoth.providers.rows import Registry
from tests.gateway.settings.conftest import ONE, Written

# Each of these would let somebody do, spend or send what the file forbids, if it were passed over in silence.
RESTRICTING = {
    "general_settings": (
        "allowed_ips allowed_routes admin_only_routes enforce_user_param enforced_params custom_auth enable_jwt_auth "
        "enable_oauth2_auth enable_oauth2_proxy_auth max_parallel_requests global_max_parallel_requests "
        "max_response_size_mb reject_clientside_metadata_tags completion_model fail_closed_budget_enforcement "
        "max_in_flight_requests_per_worker provider_url_destination_allowed_hosts role_permissions"
    ),
    "litellm_settings": (
        "max_budget max_user_budget max_internal_user_budget max_end_user_budget tag_budget_config "
        "default_internal_user_params default_team_params default_key_generate_params upperbound_key_generate_params "
        "key_generation_settings block_requests_for_models_without_pricing blocked_user_list banned_keywords_list "
        "llm_guard_mode pre_call_rules post_call_rules validate_end_user_id_in_db output_parse_pii guardrails"
    ),
    "router_settings": "provider_budget_config guardrail_list optional_pre_call_checks",
    "litellm_params": "max_budget guardrails region_name rpd tpd itpm otpm blocked",
    "model_info": "team_id access_groups supported_environments blocked",
    "callbacks": "presidio hide_secrets detect_prompt_injection dynamic_rate_limiter_v3 max_budget_limiter",
    TOP: "guardrails policies",
}


def in_section(section: str, key: str, value: str) -> str:
    if section == TOP:
        return f"{ONE}{key}: {value}\n"
    if section in ("litellm_params", "model_info"):
        params = f"{{model: poe/GPT-5{f', {key}: {value}' * (section == 'litellm_params')}}}"
        info = f"{{id: x{f', {key}: {value}' * (section == 'model_info')}}}"
        return f"model_list:\n  - model_name: one\n    litellm_params: {params}\n    model_info: {info}\n"
    if section == "callbacks":
        return f"{ONE}litellm_settings: {{callbacks: [{key}]}}\n"
    if section == "cache_params":
        return f"{ONE}litellm_settings: {{cache: true, cache_params: {{{key}: {value}}}}}\n"
    return f"{ONE}{section}: {{{key}: {value}}}\n"


def facts(*kinds: str) -> list[tuple[str, str]]:
    return [(section, key) for section, keys in known().items() for key, fact in keys.items() if fact.kind in kinds]


def test_the_list_is_whole() -> None:
    for section, keys in known().items():
        for key, fact in keys.items():
            assert fact.kind in KINDS, (section, key)
            assert fact.meaning
            assert not fact.meaning.endswith("."), (section, key)
    assert {section for section, _ in facts("works")} == set(known())


def test_what_is_said_to_work_is_what_is_read() -> None:
    """A key can neither be read without standing in the list, nor stand in the list without being read."""
    from quoth.gateway.settings.load import GENERAL, LITELLM, ROUTER, TOP_KEYS

    read: dict[str, Iterable[str]] = {
        TOP: TOP_KEYS,
        "general_settings": GENERAL,
        "litellm_settings": LITELLM,
        "router_settings": ROUTER,
        "litellm_params": deployments.PARAMS,
        "model_info": deployments.MODEL_INFO,
        "cache_params": extensions.CACHE,
        "callbacks": ("prometheus", "otel"),
    }
    works = {section: {key for key, fact in keys.items() if fact.kind == "works"} for section, keys in known().items()}
    assert works == {section: set(keys) for section, keys in read.items()}
    assert set(routing.BOTH) <= set(LITELLM)
    assert {"", "cache", "server", "log"} <= set(own.OWN)


@pytest.mark.parametrize("section", RESTRICTING)
def test_what_restricts_is_known_to_restrict(section: str) -> None:
    for key in RESTRICTING[section].split():
        assert known()[section][key].kind == "restricts", key


@pytest.mark.parametrize(("section", "key"), facts("restricts"))
def test_what_restricts_is_refused_unless_accepted(written: Written, section: str, key: str) -> None:
    value = "[router_budget_limiting]" if key == "optional_pre_call_checks" else "[x]"
    text = in_section(section, key, value)
    error = written.error(text)
    assert f"it is not enforced here ({known()[section][key].meaning})" in error
    assert f"quoth: {{accept_unenforced: [{key}]}}" in error
    settings = written.load(f"{text}quoth: {{accept_unenforced: [{key}]}}\n")
    (warning,) = [problem for problem in settings.warnings if problem.path]
    assert warning.message.startswith("it is not enforced, as accepted")
    assert key not in settings.models[0].litellm_params


@pytest.mark.parametrize(("section", "key"), facts("harmless"))
def test_what_is_harmless_is_a_warning(written: Written, section: str, key: str) -> None:
    settings = written.load(in_section(section, key, "[x]"), strict=True)
    warnings = [problem for problem in settings.warnings if problem.path]
    if section == "model_info":
        assert not warnings, "whatever is said of a model is shown by /model/info"
        return
    (warning,) = warnings
    assert known()[section][key].meaning in warning.message
    assert key not in settings.models[0].litellm_params


def test_a_restriction_that_is_switched_off_is_harmless(written: Written) -> None:
    for value in ("false", "[]", "{}", "", '""'):
        settings = written.load(in_section("general_settings", "enforce_user_param", value))
        assert len([problem for problem in settings.warnings if problem.path]) == 1
    assert "not enforced" in written.error(in_section("litellm_settings", "max_budget", "0"))
    checks = in_section("router_settings", "optional_pre_call_checks", "[prompt_caching]")
    assert written.load(checks).models


def test_acceptance_by_path_and_for_nothing(written: Written) -> None:
    text = in_section("general_settings", "allowed_ips", "[10.0.0.1]")
    assert written.load(f"{text}quoth: {{accept_unenforced: [general_settings.allowed_ips]}}\n").models
    assert "not enforced here" in written.error(f"{text}quoth: {{accept_unenforced: [litellm_settings.allowed_ips]}}\n")
    assert written.load(f"{text}quoth: {{accept_unenforced: allowed_ips}}\n").models
    assert not written.load(f"{ONE}quoth: {{accept_unenforced: []}}\n").warnings
    idle = f"{ONE}quoth: {{accept_unenforced: [allowed_ipps]}}\n"
    assert "nothing here is accepted by 'allowed_ipps'; take it out" in str(written.load(idle).warnings)
    assert "nothing here is accepted" in written.errors(idle, strict=True)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("litelm_settings: {}\n", "4:1 litelm_settings: litelm_settings is not a key of a settings file; did you mean"),
        ("models: []\n", "4:1 models: models is not a key of a settings file; those that work are"),
        ("router_settings: {num_retry: 1}\n", "num_retry is not a key of router_settings; did you mean num_retries?"),
        (
            "general_settings: {master-key: x}\n",
            "master-key is not a key of general_settings; did you mean",
        ),
        ("general_settings: {enforce_user_parm: true}\n", "did you mean enforce_user_param?"),
        ("general_settings: {routing_strategy: least-busy}\n", "routing_strategy: it belongs in router_settings"),
        ("litellm_settings: {master_key: x}\n", "litellm_settings.master_key: it belongs in general_settings"),
        ("drop_params: true\n", "drop_params: it belongs in litellm_settings"),
        ("general_settings: {allowed_fails: 3}\n", "general_settings.allowed_fails: it belongs in litellm_settings"),
        ("quoth: {commitafter: 3}\n", "quoth.commitafter: commitafter is not known here; did you mean commit_after?"),
        ("quoth: {zork: 3}\n", "quoth.zork: zork is not known here; there are accept_unenforced, cache, "),
        ("quoth: {server: {prt: 3}}\n", "quoth.server.prt: prt is not known here; did you mean port?"),
    ],
)
def test_typing_errors_are_told_what_was_meant(written: Written, text: str, said: str) -> None:
    assert said in written.error(f"{ONE}{text}")


def test_keys_that_hold_anchors_are_passed_over(written: Written) -> None:
    assert not written.load(f"x-mine: {{model_nam: 3}}\n{ONE}", strict=True).warnings


def test_a_refusal_survives_a_process_boundary(written: Written) -> None:
    with pytest.raises(Refused) as caught:
        written.load("models: []\n")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)


def test_what_nobody_knows_is_a_warning_and_under_strict_an_error(written: Written) -> None:
    text = f"{ONE}general_settings: {{fancy_new_thing: 1}}\n"
    (warning,) = [problem for problem in written.load(text).warnings if problem.path]
    assert warning.message == "fancy_new_thing is not a key of general_settings, and has no effect"
    assert (warning.line, warning.column) == (4, 20)
    assert written.errors(text, strict=True) == [
        "4:20 general_settings.fancy_new_thing: fancy_new_thing is not a key of general_settings, and has no effect"
    ]


def test_what_belongs_elsewhere_and_is_harmless_there_is_a_warning(written: Written) -> None:
    settings = written.load(f"{ONE}litellm_settings: {{store_model_in_db: true}}\n")
    assert "it belongs in general_settings, and has no effect there either" in str(settings.warnings)


@pytest.mark.parametrize("section", ["general_settings", "litellm_settings", "router_settings", "quoth"])
def test_a_section_is_a_mapping_or_blank(written: Written, section: str) -> None:
    assert written.load(f"{ONE}{section}:\n").models
    assert f"4:{len(section) + 3} {section}: it has to be a mapping" in written.error(f"{ONE}{section}: [1]\n")


def test_all_problems_are_said_at_once_in_the_order_of_the_file(written: Written) -> None:
    text = f"{ONE}litelm_settings: {{}}\ngeneral_settings:\n  allowed_ips: [a]\nrouter_settings: {{timeout: -1}}\n"
    problems = written.problems(text, QUOTH_MASTER_KEY="sk-1234")
    assert [problem.line for problem in problems] == [4, 6, 7, None]
    assert [problem.path for problem in problems] == [
        "litelm_settings",
        "general_settings.allowed_ips",
        "router_settings.timeout",
        "QUOTH_MASTER_KEY",
    ]
    assert re.fullmatch(r".*config\.yaml:4:1: litelm_settings: .*", str(problems[0]))


def test_names_of_litellms_providers_without_a_row_here() -> None:
    lacking = {name for name in providers() if Registry().get(name) is None}
    assert {"azure", "bedrock", "vertex_ai", "sagemaker"} <= lacking
    assert not {"poe", "openai", "anthropic", "together_ai", "fireworks_ai", "hosted_vllm", "openrouter"} & lacking
