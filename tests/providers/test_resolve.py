"""From a model's name to its target: whose it is, which key goes where, and what comes before what."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth import AsyncClient, AuthenticationError, BadRequestError, Client
from quoth.call import Target
from quoth.providers.resolve import resolve
from quoth.providers.rows import Registry, host_of, packaged_names, row_from
from tests.faultserver.answers import error
from tests.providers.conftest import HELLO, Wire

REGISTRY = Registry()
# Every key variable of every shipped row, each with a key that says whose it is.
KEYS = {
    variable: f"{name}-key"
    for name in packaged_names()
    if (row := REGISTRY.get(name)) is not None
    for variable in row.key_env
}
LOCAL = {"ollama", "vllm", "lm_studio", "llamafile", "custom_openai", "litellm_proxy"}


def target(model: str, environment: dict[str, str] | None = None, **how: Any) -> Target:
    return resolve(model, REGISTRY, KEYS if environment is None else environment, **how)


# --- Whose model it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "how", "provider", "name"),
    [
        ("poe/Claude-Sonnet-4.6", {}, "poe", "Claude-Sonnet-4.6"),
        ("POE/grok-4", {}, "poe", "grok-4"),
        (" poe/grok-4 ", {}, "poe", "grok-4"),
        ("openrouter/meta-llama/llama-4:free", {}, "openrouter", "meta-llama/llama-4:free"),
        ("fireworks_ai/accounts/fireworks/models/x", {}, "fireworks", "accounts/fireworks/models/x"),
        ("together_ai/a/b", {}, "together", "a/b"),
        ("hosted_vllm/m", {}, "vllm", "m"),
        ("litellm_proxy/poe/m", {"base_url": "http://127.0.0.1:4000"}, "litellm_proxy", "poe/m"),
        # Bare names of exactly OpenAI's families.
        ("gpt-4o", {}, "openai", "gpt-4o"),
        ("gpt-5.2-mini", {}, "openai", "gpt-5.2-mini"),
        ("o3-mini", {}, "openai", "o3-mini"),
        ("chatgpt-4o-latest", {}, "openai", "chatgpt-4o-latest"),
        # The provider said beside the model.
        ("grok-4", {"provider": "poe"}, "poe", "grok-4"),
        ("poe/grok-4", {"provider": "poe"}, "poe", "grok-4"),
        ("openai/gpt-4o", {"provider": "openrouter"}, "openrouter", "openai/gpt-4o"),
        ("gpt-4o", {"provider": "poe"}, "poe", "gpt-4o"),
        # A base URL says it too, if its host is known; else it is any OpenAI-compatible server.
        ("grok-4", {"base_url": "https://api.poe.com/v1"}, "poe", "grok-4"),
        ("m", {"base_url": "https://llm.acme.example/v1"}, "custom_openai", "m"),
        ("vendor/m", {"base_url": "https://llm.acme.example/v1"}, "custom_openai", "vendor/m"),
        ("gpt-4o", {"base_url": "http://127.0.0.1:8000/v1"}, "custom_openai", "gpt-4o"),
        ("poe/grok-4", {"base_url": "http://127.0.0.1:8000/v1"}, "poe", "grok-4"),
    ],
)
def test_names(model: str, how: dict[str, Any], provider: str, name: str):
    found = target(model, **how)
    assert (found.provider, found.model) == (provider, name)


@pytest.mark.parametrize(
    ("model", "how", "says"),
    [
        (None, {}, "model is None; it has to be a name such as"),
        (5, {}, "model is 5; it has to be a name"),
        ("", {}, "model is ''"),
        ("  ", {}, "model is '  '"),
        ("poe/", {}, "'poe/' names a provider but no model"),
        ("grok-4", {}, "'grok-4' does not say whose model it is. Write provider/model: for Poe 'poe/Grok-4'"),
        ("claude-sonet-4.6", {}, "for Poe 'poe/claude-sonnet-4.6'"),
        ("gpt-99", {}, "'gpt-99' does not say whose model it is"),
        ("gpt-4ox", {}, "does not say whose model it is"),
        ("o5", {}, "does not say whose model it is"),
        (
            "pow/grok-4",
            {},
            "is not a provider. Did you mean 'poe'? Poe has it as 'poe/Grok-4'.",
        ),
        ("xx/yy", {}, "'xx' (in 'xx/yy') is not a provider. Providers: anthropic, "),
        ("azure/my-gpt", {}, "call custom_openai/my-gpt with that as api_base"),
        (
            "azure/my-gpt",
            {"base_url": "https://mine.openai.azure.com"},
            "azure is a provider of LiteLLM's that has no row",
        ),
        ("m", {"provider": "nobody"}, "'nobody' (in 'm') is not a provider"),
    ],
)
def test_names_of_nobody(model: Any, how: dict[str, Any], says: str):
    with pytest.raises(BadRequestError) as caught:
        target(model, **how)
    assert says in str(caught.value)
    assert caught.value.param == "model"


def test_a_gateway_as_a_provider_has_the_variables_of_litellm():
    there = {"LITELLM_PROXY_API_BASE": "http://127.0.0.1:4000", "LITELLM_PROXY_API_KEY": "k"}
    found = target("litellm_proxy/poe/grok-4", there)
    assert (found.base_url, found.key, found.model) == ("http://127.0.0.1:4000", "k", "poe/grok-4")
    with pytest.raises(BadRequestError, match=r"litellm_proxy has no host of its own: .* LITELLM_PROXY_API_BASE"):
        target("litellm_proxy/poe/grok-4", {})


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_name_is_somebodys_or_a_bad_request(model: str):
    with suppress(BadRequestError, AuthenticationError):
        found = target(model)
        assert found.provider in packaged_names()
        assert found.model


# --- Precedence --------------------------------------------------------------------------------------------------

ELSEWHERE = "https://llm.acme.example/v1"


@pytest.mark.parametrize(
    ("environment", "how", "url", "key"),
    [
        ({"POE_API_KEY": "e"}, {}, "https://api.poe.com/v1", "e"),
        ({"POE_API_KEY": " e\n"}, {}, "https://api.poe.com/v1", "e"),
        ({"POE_API_KEY": "e"}, {"api_key": "a"}, "https://api.poe.com/v1", "a"),
        ({"POE_API_KEY": "e"}, {"api_key": "  "}, "https://api.poe.com/v1", "e"),
        ({}, {"api_key": "a"}, "https://api.poe.com/v1", "a"),
        ({"POE_API_KEY": "e", "POE_API_BASE": ELSEWHERE}, {}, ELSEWHERE, "e"),
        ({"POE_API_KEY": "e", "POE_API_BASE": f"{ELSEWHERE}/"}, {}, ELSEWHERE, "e"),
        ({"POE_API_KEY": "e", "POE_API_BASE": "  "}, {}, "https://api.poe.com/v1", "e"),
        (
            {"POE_API_KEY": "e", "POE_API_BASE": ELSEWHERE},
            {"base_url": "http://127.0.0.1:1"},
            "http://127.0.0.1:1",
            "e",
        ),
        ({"POE_API_KEY": "e"}, {"base_url": ELSEWHERE}, ELSEWHERE, "e"),
        ({"POE_API_KEY": "e"}, {"base_url": ""}, "https://api.poe.com/v1", "e"),
    ],
)
def test_arguments_then_environment_then_row(environment: dict[str, str], how: dict[str, Any], url: str, key: str):
    found = target("poe/m", environment, **how)
    assert (found.base_url, found.key) == (url, key)


def test_the_first_variable_that_is_not_blank_counts():
    assert target("together/m", {"TOGETHER_API_KEY": " ", "TOGETHERAI_API_KEY": "b"}).key == "b"
    assert target("together/m", {"TOGETHER_API_KEY": "a", "TOGETHERAI_API_KEY": "b"}).key == "a"
    assert target("openai/m", {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": ELSEWHERE}).base_url == ELSEWHERE
    both = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": ELSEWHERE, "OPENAI_API_BASE": "https://a.example"}
    assert target("openai/m", both).base_url == "https://a.example"


def test_on_the_wire(wire: Wire, monkeypatch: pytest.MonkeyPatch):
    """Call, then client, then environment, then row: each is seen by taking the one before it away."""

    def key() -> str:
        return wire.server.requests[-1].headers["authorization"].removeprefix("Bearer ")

    def path() -> str:
        return wire.server.requests[-1].path.removesuffix("/chat/completions")

    monkeypatch.setenv("ACME_API_KEY", "environment")
    monkeypatch.setenv("ACME_API_BASE", f"{wire.server.url}/environment")
    row = {"name": "acme", "base_url": f"{wire.server.url}/row"}
    client = Client(providers=[row], provider="acme", api_key="client", base_url=f"{wire.server.url}/client")
    complete: Any = client.completion
    complete("m", HELLO, api_key="call", api_base=f"{wire.server.url}/call")
    assert (key(), path()) == ("call", "/call")
    complete("m", HELLO)
    assert (key(), path()) == ("client", "/client")
    complete = Client(providers=[row], provider="acme").completion
    complete("m", HELLO)
    assert (key(), path()) == ("environment", "/environment")
    monkeypatch.delenv("ACME_API_BASE")
    complete("m", HELLO)
    assert (key(), path()) == ("environment", "/row")
    monkeypatch.setenv("ACME_API_KEY", "\t ")
    with pytest.raises(AuthenticationError, match=r"^no key for acme: set ACME_API_KEY \(it is unset or blank\)"):
        complete("m", HELLO)


# --- Keys stay with their hosts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", packaged_names())
def test_a_missing_key_names_its_variable(name: str):
    row = REGISTRY.get(name)
    assert row is not None
    where: dict[str, Any] = {} if row.base_url else {"base_url": ELSEWHERE}
    if not row.key_required:
        assert target(f"{name}/m", {}, **where).key is None
        return
    environments: list[dict[str, str]] = [{}, {row.key_env[0]: " \n"}]
    for environment in environments:
        with pytest.raises(AuthenticationError) as caught:
            target(f"{name}/m", environment)
        assert f"set {row.key_env[0]} (it is unset or blank)" in str(caught.value)
        assert (caught.value.llm_provider, caught.value.model) == (name, "m")


@pytest.mark.parametrize("name", packaged_names())
def test_each_gets_its_own_key_and_no_other(name: str):
    """With every key in the environment, and with every key but its own."""
    row = REGISTRY.get(name)
    assert row is not None
    where: dict[str, Any] = {} if row.base_url else {"base_url": ELSEWHERE}
    assert target(f"{name}/m", **where).key == f"{name}-key"
    others = {variable: key for variable, key in KEYS.items() if variable not in row.key_env}
    if row.key_required:
        with pytest.raises(AuthenticationError):
            target(f"{name}/m", others)
    else:
        assert target(f"{name}/m", others, **where).key is None


# The same host, written otherwise.
DISGUISES = [
    "https://{host}/v1",
    "http://{host}/v1",
    "https://{host}:443/v1",
    "http://{host}:80",
    "http://{host}:443",
    "https://{host}./v1",
    "https://{upper}/v1",
    "HTTPS://{host}",
    "https://{host}/some/other/path",
]


@pytest.mark.parametrize("url", DISGUISES)
@pytest.mark.parametrize("owner", ["openai", "openrouter", "groq", "poe"])
def test_a_key_of_the_environment_does_not_go_to_anothers_host(owner: str, url: str):
    row = REGISTRY.get(owner)
    assert row is not None
    host = row.base_url.partition("//")[2].partition("/")[0]
    url = url.format(host=host, upper=host.upper())
    other = "mistral"
    with pytest.raises(AuthenticationError) as caught:
        target(f"{other}/m", base_url=url)
    assert f"MISTRAL_API_KEY is {other}'s key and {url.rstrip('/')} is {owner}'s host" in str(caught.value)
    assert f"Pass api_key for that host, or call {owner}/m" in str(caught.value)
    assert "mistral-key" not in str(caught.value)
    # Its owner's does, and a key that was given goes where it was told to.
    assert target(f"{owner}/m", base_url=url).key == f"{owner}-key"
    assert target(f"{other}/m", base_url=url, api_key="given").key == "given"


@pytest.mark.parametrize("owner", [name for name in packaged_names() if name not in {*LOCAL, "poe"}])
def test_poes_key_goes_to_no_other_row(owner: str):
    row = REGISTRY.get(owner)
    assert row is not None
    with pytest.raises(AuthenticationError, match=f"is {owner}'s host, so it is not sent there"):
        target("poe/m", base_url=row.base_url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1",
        "http://127.0.0.1:11434/v1",
        "http://127.8.9.1",
        "http://[::1]:1234/v1",
        "http://LOCALHOST:8080",
        "https://llm.acme.example/v1",
        "https://api.poe.com.acme.example/v1",
        "https://xapi.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "http://10.0.0.7:8000",
    ],
)
def test_loopback_and_hosts_of_nobody_get_the_key_of_the_named_provider(url: str):
    assert target("poe/m", base_url=url).key == "poe-key"
    assert target("poe/m", {"POE_API_KEY": "k", "POE_API_BASE": url}).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "api.poe.com/v1",
        "ftp://api.poe.com",
        "https://",
        "https:///v1",
        "https://api.poe.com:99999/v1",
        "https://api.poe.com:0/v1",
        "https://api.poe.com:x/v1",
        "https://api.poe.com /v1",
        "https://api.poe.com/v1\n",
        "https://[::1/v1",
        "https://api。poe。com/v1",
        "https://me:secret@api.poe.com/v1",
        "https://api.openai.com@llm.acme.example/v1",
        "https://api.poe.com\\@llm.acme.example",
        "https://api.poe.com/v1?key=secret",
        "https://api.poe.com/v1#x",
        "file:///etc/passwd",
    ],
)
def test_a_broken_base_url_is_a_bad_request(url: str):
    """Wherever it was given, and without its secrets in the text."""
    for environment, how, source in (
        (KEYS, {"base_url": url.strip() + "\n" if url.endswith("\n") else url}, "api_base"),
        ({**KEYS, "POE_API_BASE": url}, {}, "POE_API_BASE"),
    ):
        if url.endswith("\n"):
            assert target("poe/m", environment, **how).base_url == url.strip(), "space around it is forgiven"
            continue
        with pytest.raises(BadRequestError) as caught:
            target("poe/m", environment, **how)
        assert caught.value.param == "api_base"
        assert str(caught.value).startswith(source)
        assert "secret" not in str(caught.value)


def test_a_row_without_a_host_asks_for_one():
    with pytest.raises(BadRequestError, match="custom_openai has no host of its own: pass api_base, or set CUSTOM"):
        target("custom_openai/m")


@pytest.mark.parametrize("key", ["a\nb", "schlüssel", "a\x00", "kéy", "\u200bkey"])
def test_a_key_that_no_header_can_carry(key: str):
    for environment, how in ((KEYS, {"api_key": key}), ({"POE_API_KEY": key}, {})):
        with pytest.raises(AuthenticationError, match="no HTTP header can carry") as caught:
            target("poe/m", environment, **how)
        assert key not in str(caught.value)


def test_openais_key_is_never_anothers():
    """LiteLLM sends OPENAI_API_KEY to Poe when POE_API_KEY is missing."""
    environment = {"OPENAI_API_KEY": "sk-secret"}
    with pytest.raises(AuthenticationError, match="set POE_API_KEY"):
        target("poe/m", environment)
    assert target("custom_openai/m", environment, base_url=ELSEWHERE).key is None
    assert target("gpt-4o", environment, base_url="http://127.0.0.1:1").key is None
    assert target("vllm/m", environment).key is None


def test_own_rows_have_hosts_of_their_own():
    mine = row_from({"name": "acme", "base_url": ELSEWHERE})
    proxy = row_from({"name": "poe_too", "base_url": "https://api.poe.com/v1", "key_env": ["POE_API_KEY"]})
    registry = Registry([mine, proxy])
    with pytest.raises(AuthenticationError, match="acme's host"):
        resolve("poe/m", registry, KEYS, base_url=ELSEWHERE)
    with pytest.raises(AuthenticationError, match=r"(poe|poe_too)'s host"):
        resolve("acme/m", registry, {"ACME_API_KEY": "k"}, base_url="https://api.poe.com/v1")
    # Two rows may share a host; each may go there.
    assert resolve("poe/m", registry, KEYS, base_url="https://api.poe.com/v1").key == "poe-key"
    assert resolve("poe_too/m", registry, KEYS, base_url="https://api.poe.com/v1").key == "poe-key"


@settings(deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"https?://[a-z.@:\[\]0-9]{0,20}(/[a-z?#]{0,5})?", fullmatch=True))
def test_any_base_url_is_one_or_a_bad_request(url: str):
    assert isinstance(host_of(url), str)
    with suppress(BadRequestError, AuthenticationError):
        assert urlsplit(target("poe/m", base_url=url).base_url).scheme in ("http", "https")


class TestFallbacks:
    """A key and a host belong to the model that they were given with."""

    @pytest.fixture
    def rows(self, wire: Wire) -> list[dict[str, Any]]:
        return [{"name": name, "base_url": f"{wire.server.url}/{name}"} for name in ("acme", "other")]

    @pytest.mark.parametrize("by", ["call", "client"])
    def test_a_key_stays_with_its_model(
        self, wire: Wire, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, by: str
    ):
        monkeypatch.setenv("OTHER_API_KEY", "other-key")
        key = {"api_key": "acme-key"}
        make: Any = Client
        client = make(providers=rows, num_retries=0, **(key if by == "client" else {}))
        wire.server.play_once(error(400, "no"))
        client.completion("acme/m", HELLO, fallbacks=["other/m"], **(key if by == "call" else {}))
        first, second = wire.server.requests[-2:]
        assert (first.path, first.headers["authorization"]) == ("/acme/chat/completions", "Bearer acme-key")
        assert (second.path, second.headers["authorization"]) == ("/other/chat/completions", "Bearer other-key")

    async def test_in_asyncio_too(self, wire: Wire, rows: list[dict[str, Any]]):
        wire.server.play_once(error(400, "no"))
        async with AsyncClient(providers=rows, num_retries=0) as client:
            with pytest.raises(AuthenticationError, match="set OTHER_API_KEY"):
                await client.acompletion("acme/m", HELLO, fallbacks=["other/m"], api_key="acme-key")
