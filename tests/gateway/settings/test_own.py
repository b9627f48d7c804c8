"""What stands under `quoth:`, the server, the network, hooks and the cache."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from quoth.gateway.serve.given import judged
from quoth.gateway.serve.loading import Loaded, Refusal
from quoth.gateway.serve.plan import Plan
from quoth.gateway.settings import Cache, Quoth, Server, Settings, exposure, loopback
from quoth.providers.quirks import QUIRKS
from tests.faultserver.certificates import authority_pem
from tests.gateway.settings.conftest import MASTER, ONE, Written


def own(text: str) -> str:
    return f"{ONE}quoth: {text}\n"


def test_what_holds_when_nothing_is_said(written: Written) -> None:
    settings = written.load(ONE)
    assert settings.server == Server(
        host="127.0.0.1",
        port=4000,
        workers=1,
        header_timeout=10.0,
        json_limit=32 * 2**20,
        file_limit=100 * 2**20,
    )
    quoth = settings.quoth
    assert (quoth.commit_after, quoth.drain_delay, quoth.drain_timeout, quoth.hook_timeout) == (30, 2, 30, 2)
    assert (quoth.pacing.rpm, quoth.pacing.max_wait, quoth.idempotency.ttl) == (None, 10, 86_400)
    assert (quoth.retry_budget.ratio, quoth.retry_budget.per_second) == (0.2, 10)
    assert (quoth.metrics, quoth.metrics_auth, quoth.otel, quoth.log.format) == (True, True, False, "json")
    assert (settings.cache, settings.hooks, settings.network.ssl_verify) == (None, (), True)


def test_everything_that_can_be_said(written: Written) -> None:
    quirk = next(iter(QUIRKS))
    for name in ("cert.pem", "key.pem", "ca.pem"):
        written.file("x", name)
    written.file("hook = None\n", "mine.py")
    settings = written.load(
        f"""{ONE}
litellm_settings: {{ssl_verify: ca.pem, ssl_certificate: cert.pem, cache: true}}
general_settings: {{max_request_size_mb: 2}}
quoth:
  commit_after: 500ms
  drain_delay: 0
  drain_timeout: 1m
  hook_timeout: 3
  catalogue_ttl: 7d
  disable_quirks: [{quirk}]
  metrics: false
  metrics_auth: false
  otel: true
  hooks: [mine.hook]
  proxy: http://proxy.example:3128
  pacing: {{rpm: 400, max_wait: 20s}}
  idempotency: {{ttl: 1h}}
  log: {{format: text, level: debug, path: /var/log/quoth.log}}
  retry_budget: {{ratio: 0.1, per_second: 5}}
  cache: {{max_entries: 5, max_bytes: 1MiB}}
  server:
    host: 0.0.0.0
    port: 8080
    workers: 4
    tls_cert: cert.pem
    tls_key: key.pem
    header_timeout: 5s
    write_timeout: 20s
    json_limit: 8MiB
    file_limit: 1GB
    event_limit: 1MiB
    backlog: 64
"""
    )
    folder = written.folder
    assert msgspec.structs.asdict(settings.server) == {
        "host": "0.0.0.0",
        "port": 8080,
        "workers": 4,
        "tls_cert": str(folder / "cert.pem"),
        "tls_key": str(folder / "key.pem"),
        "header_timeout": 5.0,
        "write_timeout": 20.0,
        "json_limit": 2 * 2**20,
        "file_limit": 2 * 2**20,
        "event_limit": 2**20,
        "backlog": 64,
    }
    assert msgspec.json.decode(msgspec.json.encode(settings.quoth)) == {
        "commit_after": 0.5,
        "drain_delay": 0.0,
        "drain_timeout": 60.0,
        "hook_timeout": 3.0,
        "catalogue_ttl": 604_800.0,
        "accept_unenforced": [],
        "disable_quirks": [quirk],
        "metrics": False,
        "metrics_auth": False,
        "otel": True,
        "pacing": {"rpm": 400, "max_wait": 20.0},
        "idempotency": {"ttl": 3600.0},
        "log": {"format": "text", "level": "debug", "path": "/var/log/quoth.log"},
        "retry_budget": {"ratio": 0.1, "per_second": 5},
        "providers": [],
    }
    assert settings.hooks == ("mine.hook",)
    assert settings.cache == Cache(max_entries=5, max_bytes=2**20)
    assert settings.network.ssl_verify == str(folder / "ca.pem")
    assert settings.network.client_cert == str(folder / "cert.pem")
    assert settings.network.proxy == "http://proxy.example:3128"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=Settings) == settings


def test_the_log_lies_beside_the_settings(written: Written) -> None:
    """And not where the gateway happened to be started."""
    settings = written.load(own("{log: {path: quoth.log}}"))
    assert settings.quoth.log.path == str(written.folder / "quoth.log")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{commit_after: soon}", "commit_after: it is 'soon'; it has to be seconds, or a text such as \"30s\""),
        ("{hook_timeout: 0}", "hook_timeout: it is 0; it has to be seconds"),
        ("{pacing: {rpm: 0}}", "pacing.rpm: it is 0; it has to be a whole number, 1 or more"),
        ("{log: {path: nowhere/quoth.log}}", "log.path: there is no folder '"),
        ("{log: {path: .}}", "log.path: '"),
        ("{proxy: 'socks5://proxy.example:1080'}", "proxy: it has to be a URL such as http://proxy.example:3128"),
        ("{proxy: 'http://proxy.example:port'}", "proxy: it has to be a URL such as http://proxy.example:3128"),
        ("{pacing: 3}", "pacing: it has to be a mapping of names to values"),
        ("{log: {format: yaml}}", "log.format: it is 'yaml'; it has to be one of json, text, none"),
        ("{retry_budget: {ratio: 2}}", "retry_budget.ratio: it is 2; it has to be a number, from 0 to 1"),
        ("{server: {port: 99999}}", "server.port: it is 99999; it has to be a whole number, from 0 to 65,535"),
        ("{server: {workers: 0}}", "server.workers: it is 0; it has to be a whole number, from 1 to 256"),
        ("{server: {json_limit: big}}", "server.json_limit: it is 'big'; it has to be bytes, or a text such as"),
        ("{server: {tls_cert: nowhere.pem}}", "server.tls_cert: there is no file"),
        ("{disable_quirks: [zork]}", "disable_quirks[0]: there is no quirk 'zork'; there are "),
        ("{accept_unenforced: 3}", "accept_unenforced: it is 3; it has to be a list of texts"),
        ("{proxy: proxy.example}", "proxy: it has to be a URL such as http://proxy.example:3128"),
        ("{hooks: [nowhere.hook]}", "hooks[0]: there is no nowhere.py beside the settings, and no module nowhere"),
        ("{hooks: [hook]}", "hooks[0]: 'hook' is not a callback; one of your own is written module.instance"),
        ("{hooks: 3}", "hooks: it is 3; it has to be a list of texts"),
    ],
)
def test_what_makes_no_sense_is_refused(written: Written, text: str, said: str) -> None:
    assert any(f"quoth.{said}" in error for error in written.errors(own(text)))


def test_tls_needs_both_files(written: Written) -> None:
    written.file("x", "cert.pem")
    error = written.error(own("{server: {tls_cert: cert.pem}}"))
    assert error.startswith("4:17 quoth.server: tls_key is missing")


class TestAddress:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.9.10"])
    def test_loopback_may_go_without_a_key(self, written: Written, host: str) -> None:
        assert loopback(host)
        settings = written.load(own(f"{{server: {{host: '{host}'}}}}"), QUOTH_MASTER_KEY="")
        assert "there is no master key" in settings.warnings[0].message

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.4", "gateway.example", "127.example.com"])
    def test_the_world_may_not(self, written: Written, host: str) -> None:
        text = own(f"{{server: {{host: '{host}'}}}}")
        assert written.load(text).master_key == MASTER
        error = written.error(text, QUOTH_MASTER_KEY="")
        assert error.startswith(f"4:24 quoth.server.host: others can reach {host}, and there is no master key: ")

    def test_unless_that_is_permitted(self, written: Written) -> None:
        permit = "general_settings: {dangerously_permit_weak_or_unset_master_key: true}\n"
        settings = written.load(f"{own('{server: {host: 0.0.0.0}}')}{permit}", QUOTH_MASTER_KEY="")
        assert settings.weak_key_permitted
        assert "others can reach 0.0.0.0" in settings.warnings[0].message

    def test_so_it_is_for_the_command_line(self, written: Written) -> None:
        file = written.file(f"{ONE}general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}\n")
        plan = Plan(file=file, given={"host": "0.0.0.0"})
        found = judged(plan, {"POE_API_KEY": "k"})
        assert isinstance(found, Loaded)
        assert "others can reach 0.0.0.0" in found.warnings[0]
        open_to_all = Plan(file=written.file(ONE), given={"host": "0.0.0.0"})
        assert isinstance(judged(open_to_all, {"POE_API_KEY": "k"}), Refusal)

    def test_certificates_that_are_none_are_refused_before_any_call_needs_them(self, written: Written) -> None:
        written.file("no certificate\n", "ca.pem")
        (written.folder / "real.pem").write_bytes(authority_pem())
        environment = {"POE_API_KEY": "k", "QUOTH_MASTER_KEY": MASTER}
        for key in ("ssl_verify", "ssl_certificate"):
            plan = Plan(file=written.file(f"{ONE}litellm_settings: {{{key}: ca.pem}}\n"))
            found = judged(plan, environment)
            assert isinstance(found, Refusal)
            assert found.problems[0].startswith(
                f"litellm_settings: {key} '{written.folder / 'ca.pem'}' cannot be used: "
            )
        good = Plan(file=written.file(f"{ONE}litellm_settings: {{ssl_verify: real.pem}}\n"))
        assert isinstance(judged(good, environment), Loaded)

    def test_workers_know_nothing_of_one_another_and_it_says_so(self, written: Written) -> None:
        says = "limits are per worker: each of the 3 has its own rpm"
        (warning,) = written.load(own("{server: {workers: 3}}")).warnings
        assert (warning.line, warning.path) == (4, "quoth.server.workers")
        assert warning.message.startswith(says)
        environment = {"POE_API_KEY": "k", "QUOTH_MASTER_KEY": MASTER}
        for given, text, count in (
            (3, ONE, 1),
            (3, own("{server: {workers: 2}}"), 1),
            (1, own("{server: {workers: 2}}"), 0),
        ):
            found = judged(Plan(file=written.file(text), given={"workers": given}), environment)
            assert isinstance(found, Loaded)
            assert [says in warning for warning in found.warnings] == [True] * count

    def test_an_address_from_the_command_line_is_judged_alike(self) -> None:
        assert exposure("0.0.0.0", MASTER) == []
        assert [problem.severity for problem in exposure("0.0.0.0", None)] == ["error"]
        assert [problem.severity for problem in exposure("0.0.0.0", None, True)] == ["warning"]
        assert [problem.severity for problem in exposure("127.0.0.1", None)] == ["warning"]


def test_a_pace_of_ones_own_is_every_providers(written: Written) -> None:
    settings = written.load(own("{pacing: {rpm: 400}}"))
    poe, groq = settings.registry().get("poe"), settings.registry().get("groq")
    assert poe is not None
    assert groq is not None
    assert (poe.calls_per_minute, groq.calls_per_minute) == (400, 400)
    assert settings.models[0].litellm_params["rpm"] == 400
    without = written.load(ONE).registry().get("poe")
    assert without is not None
    assert without.calls_per_minute == 500


class TestHooks:
    def test_modules_beside_the_file_in_packages_and_installed_ones(self, written: Written) -> None:
        written.file("one = None\n", "beside.py")
        written.file("", "pack/__init__.py")
        written.file("one = None\n", "pack/age.py")
        text = f"{ONE}litellm_settings: {{callbacks: [beside.one, pack.age.one, json.decoder]}}\n"
        assert written.load(text).hooks == ("beside.one", "pack.age.one", "json.decoder")
        assert "there is no pack/other.py beside" in written.error(text.replace("pack.age", "pack.other"))

    def test_names_that_switch_something_on(self, written: Written) -> None:
        settings = written.load(f"{ONE}litellm_settings: {{callbacks: [prometheus, otel]}}\n")
        assert (settings.hooks, settings.quoth.otel) == ((), True)

    def test_names_that_are_misspelt(self, written: Written) -> None:
        error = written.error(f"{ONE}litellm_settings: {{callbacks: [promotheus]}}\n")
        assert error.endswith("'promotheus' is not a callback; did you mean prometheus?")

    def test_a_file_that_breaks_when_it_is_imported_is_not_imported(self, written: Written) -> None:
        written.file("raise SystemExit('imported')\n", "broken.py")
        assert written.load(own("{hooks: [broken.hook]}")).hooks == ("broken.hook",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{cache: true}", Cache()),
        ("{cache: true, cache_params: {type: local, ttl: 1h, namespace: x}}", Cache(ttl=3600.0, namespace="x")),
        ("{cache: true, cache_params: {mode: default_off}}", Cache(mode="default_off")),
        (
            "{cache: true, cache_params: {supported_call_types: [acompletion]}}",
            Cache(supported_call_types=("acompletion",)),
        ),
        (
            "{cache: true, cache_params: {supported_call_types: aembedding}}",
            Cache(supported_call_types=("aembedding",)),
        ),
        ("{cache: true, cache_params: {supported_call_types: []}}", Cache(supported_call_types=())),
        ("{cache: false}", None),
    ],
)
def test_cache(written: Written, text: str, found: Any) -> None:
    settings = written.load(f"{ONE}litellm_settings: {text}\n")
    assert settings.cache == found
    assert settings.warnings == ()


def test_cache_that_is_not_switched_on_or_wrong(written: Written) -> None:
    settings = written.load(f"{ONE}litellm_settings: {{cache_params: {{ttl: 5}}}}\n")
    assert settings.cache is None
    assert "it has no effect without cache: true" in str(settings.warnings)
    for text, said in (
        ("{ttl: never}", "cache_params.ttl: it is 'never'; it has to be seconds"),
        ("{mode: off}", "cache_params.mode: it is false; it has to be one of default_on, default_off"),
        ("{typ: local}", "cache_params.typ: typ is not a key of cache_params; did you mean type?"),
        ("{supported_call_types: 3}", "cache_params.supported_call_types: it is 3; it has to be a list of texts"),
        ("[x]", "cache_params: it has to be a mapping of names to values"),
    ):
        assert said in written.error(f"{ONE}litellm_settings: {{cache: true, cache_params: {text}}}\n")


def test_certificates_of_providers(written: Written) -> None:
    assert written.load(f"{ONE}litellm_settings: {{ssl_verify: false}}\n").network.ssl_verify is False
    assert "litellm_settings.ssl_verify: there is no file" in written.error(
        f"{ONE}litellm_settings: {{ssl_verify: nowhere.pem}}\n"
    )


def test_defaults_are_those_of_the_structs(written: Written) -> None:
    assert written.load(own("{}")).quoth == Quoth()
