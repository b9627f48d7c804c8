"""Rows: the shipped ones are whole, one's own are checked field by field, and both are found under their names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import quoth
from quoth import BadRequestError, Client, QuothError
from quoth.call import Row
from quoth.providers.params import OPENAI_PARAMS
from quoth.providers.quirks import QUIRKS
from quoth.providers.rows import Registry, host_of, packaged_names, row_from, rows_from_file
from tests.providers.conftest import HELLO, Wire

CATALOG = Path(quoth.__file__).parent / "providers" / "catalog"
LOCAL = {"ollama", "vllm", "lm_studio", "llamafile", "custom_openai", "litellm_proxy"}
DAY = re.compile(r"20\d\d-\d\d-\d\d")


def shipped(name: str) -> Row:
    row = Registry().get(name)
    assert row is not None
    return row


WIRES = {
    "anthropic": ("anthropic_messages", "openai_chat"),
    "openai": ("openai_chat", "openai_responses"),
    "poe": ("anthropic_messages", "openai_responses", "openai_chat"),
}


@pytest.mark.parametrize("name", packaged_names())
class TestShipped:
    def test_is_whole(self, name: str):
        row = shipped(name)
        assert row.name == name
        assert row.title
        assert row.docs.startswith("https://")
        assert row.checked == "unverified" or DAY.fullmatch(row.checked)
        assert row.key_env
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", variable) for variable in (*row.key_env, *row.base_env))
        assert row.key_required is (name not in LOCAL)
        assert set(row.quirks) <= QUIRKS.keys()
        assert row.wires == WIRES.get(name, ("openai_chat",))

    def test_its_base_url_is_one(self, name: str):
        row = shipped(name)
        if name in ("custom_openai", "litellm_proxy"):
            assert row.base_url == ""
            return
        parts = urlsplit(row.base_url)
        assert parts.hostname
        assert parts.scheme == ("http" if parts.hostname == "localhost" else "https")
        assert not row.base_url.endswith("/")
        assert not row.base_url.endswith("/chat/completions")
        assert (parts.query, parts.fragment, parts.username) == ("", "", None)

    def test_its_rules_say_why_and_since_when(self, name: str):
        for param, rule in shipped(name).params.items():
            assert param in OPENAI_PARAMS
            # Hearsay may warn; what refuses or changes has been read.
            assert DAY.fullmatch(rule.checked) or (rule.rule, rule.checked) == ("ignored", "unverified"), param
            assert rule.source.startswith("https://"), param
            assert rule.why, param
            if rule.rule == "renamed":
                assert rule.to

    def test_its_file_holds_no_key(self, name: str):
        text = (CATALOG / f"{name}.toml").read_text("utf-8")
        assert not re.search(r"(sk-|hf_|gsk_|Bearer )[A-Za-z0-9]{8}", text)
        assert tomllib.loads(text)["name"] == name


def test_all_that_were_asked_for_are_there():
    asked = (
        "poe openai openrouter groq together fireworks deepseek mistral xai cerebras perplexity nvidia deepinfra "
        "moonshot huggingface github ollama vllm lm_studio llamafile custom_openai"
    )
    assert set(asked.split()) <= set(packaged_names())


def test_names_and_aliases_are_each_somebodys():
    rows = [shipped(name) for name in packaged_names()]
    names = [name for row in rows for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    assert all(shipped(alias) is row for row in rows for alias in row.aliases)
    assert shipped("POE") is shipped("Poe") is shipped("poe")


def test_keys_and_hosts_are_each_somebodys():
    """A key variable that two rows read would carry one provider's key to the other."""
    rows = [shipped(name) for name in packaged_names()]
    variables = [variable for row in rows for variable in row.key_env]
    assert len(variables) == len(set(variables))
    hosts = [host_of(row.base_url) for row in rows if row.base_url and row.name not in LOCAL]
    assert len(hosts) == len(set(hosts))


@pytest.mark.parametrize("name", ["nobody", "", "..", "../models", "poe.toml", "po e", "poe\0", "ｐｏｅ", "x" * 5000])
def test_what_is_no_row_is_none(name: str):
    assert Registry().get(name) is None


# --- Rows of one's own -------------------------------------------------------------------------------------------

ACME: dict[str, Any] = {"name": "acme", "base_url": "https://llm.acme.example/v1/"}


def test_the_least_that_a_row_says():
    row = row_from({"name": "my-acme.2", "base_url": "https://llm.acme.example/v1/"})
    assert row.base_url == "https://llm.acme.example/v1"
    assert row.key_env == ("MY_ACME_2_API_KEY",)
    assert Registry().base_variables(row) == ("MY_ACME_2_API_BASE",)
    assert (row.key_required, row.stream_usage, row.checked, row.quirks) == (True, "ask", "unverified", ())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": None}, "'name' is missing"),
        ({"base_url": None}, "'base_url' is missing"),
        ({"baseurl": "x"}, "unknown field 'baseurl'; a row has aliases, base_env, base_url"),
        ({"name": 5}, "name is 5; it has to be a text"),
        ({"name": "Acme"}, "'Acme' is no name; lower-case letters"),
        ({"name": "a/b"}, "'a/b' is no name"),
        ({"name": ""}, "'' is no name"),
        ({"aliases": ["A b"]}, "'A b' is no name"),
        ({"base_url": "llm.acme.example"}, "base_url 'llm.acme.example' is not a URL"),
        ({"base_url": "https://a:x/v1"}, "is not a URL"),
        ({"base_url": 5}, "base_url is 5; it has to be a text"),
        ({"key_env": "ACME_KEY"}, "key_env is 'ACME_KEY'; it has to be a list of texts"),
        ({"key_env": [5]}, "key_env is [5]; it has to be a list of texts"),
        ({"key_required": "no"}, "key_required is 'no'; it has to be true or false"),
        ({"max_stop": "4"}, "max_stop is '4'; it has to be a whole number"),
        ({"stream_usage": "yes"}, "stream_usage is 'yes'; it is one of ask, given, none"),
        ({"retired": "soon"}, "retired is 'soon'; it has to be a day such as 2026-07-30"),
        ({"quirks": ["join"]}, "there is no quirk 'join'; there are tool_properties"),
        ({"headers": []}, "headers is []; it has to be a table"),
        ({"params": []}, "params is []; it has to be a table"),
        ({"params": {"n": "refused"}}, 'params.n: it has to be a table such as { rule = "refused" }'),
        ({"params": {"n": {"rule": "no"}}}, "params.n: rule 'no' is not one of refused, renamed, mapped, ignored"),
        ({"params": {"n": {"rule": "refused", "whom": 1}}}, "params.n: unknown field 'whom'"),
        ({"params": {"n": {"rule": "renamed"}}}, "params.n: a renamed parameter needs `to`"),
        ({"params": {"tools": {"rule": "refused"}}}, "params.tools: tools is never refused or dropped"),
        ({"params": {"stream": {"rule": "refused"}}}, "params.stream: stream is never refused or dropped"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_said(fields: dict[str, Any], says: str):
    data = {name: value for name, value in {**ACME, **fields}.items() if value is not None}
    with pytest.raises(QuothError) as caught:
        row_from(data, "rows.toml, provider 1")
    assert str(caught.value).startswith("rows.toml, provider 1")
    assert says in str(caught.value)
    with pytest.raises(QuothError, match=re.escape(says)):
        Client(providers=[data])


FILE = """
[[provider]]
name = "acme"
base_url = "{url}/acme"
key_env = ["ACME_KEY"]
aliases = ["acme_ai"]

[provider.params.seed]
rule = "renamed"
to = "random_seed"

[[provider]]
name = "groq"
base_url = "{url}/groq"
key_required = false
headers = {{ x-lab = "1" }}
"""


class TestFile:
    @pytest.fixture
    def rows(self, tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "rows.toml"
        path.write_text(FILE.format(url=wire.server.url))
        monkeypatch.setenv("QUOTH_PROVIDERS", str(path))
        monkeypatch.setenv("ACME_KEY", "acme-key")
        return path

    def test_is_read_when_a_call_is_made(self, wire: Wire, rows: Path):
        for prefix in ("acme", "acme_ai", "ACME"):
            body = wire.send(f"{prefix}/large", api_base=None, api_key=None, seed=7)
            assert body == {"model": "large", "messages": HELLO, "random_seed": 7}
            request = wire.server.requests[-1]
            assert request.path == "/acme/chat/completions"
            assert request.headers["authorization"] == "Bearer acme-key"

    def test_takes_the_place_of_a_shipped_row(self, wire: Wire, rows: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("GROQ_API_KEY", "groq-key")
        body = wire.send("groq/m", api_base=None, api_key=None, logit_bias={"1": 1})
        assert body["logit_bias"] == {"1": 1}, "the rules of the shipped row are gone"
        request = wire.server.requests[-1]
        assert request.path == "/groq/chat/completions"
        assert request.headers["x-lab"] == "1"

    def test_rows_of_the_client_come_before_it(self, wire: Wire, rows: Path):
        own = Client(providers=[{**ACME, "base_url": f"{wire.server.url}/own", "key_required": False}])
        Wire(wire.server, own).send("acme/m", api_base=None, api_key=None)
        assert wire.server.requests[-1].path == "/own/chat/completions"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (None, "the providers file '.*rows.toml' cannot be read: .*No such file"),
            (b"\xff", "cannot be read: .*utf-8"),
            (b"[[provider", "cannot be read: Expected"),
            (b"", r"rows.toml: it needs at least one \[\[provider\]\] table"),
            (b"provider = []", r"it needs at least one \[\[provider\]\] table"),
            (b"[provider]\nname = 'a'", r"it needs at least one \[\[provider\]\] table"),
            (b"[[provider]]\nname = 'a'", "rows.toml, provider 1: 'base_url' is missing"),
            (b"provider = [5]", "rows.toml, provider 1: it has to be a table"),
            (
                b"[[provider]]\nname = 'a'\nbase_url = 'http://a'\n[[provider]]\nname = 'a'\nbase_url = 'http://b'",
                "rows.toml, provider 2: there is a row named 'a' above",
            ),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, wire: Wire, rows: Path, text: bytes | None, says: str):
        if text is None:
            rows.unlink()
        else:
            rows.write_bytes(text)
        with pytest.raises(QuothError, match=says):
            rows_from_file(str(rows))
        # And by the call that needed it; what was read before is not used on.
        with pytest.raises(QuothError, match=says):
            Client().completion("acme/m", HELLO)


def test_an_unknown_provider_lists_those_there_are(wire: Wire):
    client = Client(providers=[ACME])
    with pytest.raises(BadRequestError) as caught:
        client.completion("acne/m", HELLO)
    assert str(caught.value).startswith(
        "'acne' (in 'acne/m') is not a provider. Did you mean 'acme'? Providers: acme, "
    )
    assert caught.value.param == "model"
