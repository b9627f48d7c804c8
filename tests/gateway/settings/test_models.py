"""model_list, aliases and providers: what can be called, and what makes no sense among it (S4)."""

from __future__ import annotations

import pytest

from quoth.gateway.settings import load
from quoth.gateway.settings.deployments import misspelt
from quoth.gateway.settings.names import Names
from quoth.providers.catalogue import shipped
from tests.gateway.settings.conftest import KEYS, ONE, Written


def entry(name: str, params: str, info: str = "") -> str:
    more = f"    model_info: {info}\n" if info else ""
    return f"  - model_name: {name!r}\n    litellm_params: {params}\n{more}"


def models(*entries: str) -> str:
    return f"model_list:\n{''.join(entries)}"


def params(text: str) -> str:
    return models(entry("one", f"{{model: poe/A, {text}}}"))


def test_without_a_file_every_model_of_poe_is_served() -> None:
    settings = load(None, KEYS)
    assert [(one.model_name, one.litellm_params) for one in settings.models] == [
        ("poe/*", {"model": "poe/*"}),
        ("*", {"model": "poe/*"}),
    ]
    assert (settings.master_key, settings.warnings, settings.source_files) == (KEYS["QUOTH_MASTER_KEY"], (), ())


def test_without_a_model_list_too(written: Written) -> None:
    settings = written.load("router_settings: {default_litellm_params: {timeout: 5}, num_retries: 1}\n")
    assert [(one.model_name, one.litellm_params) for one in settings.models] == [
        ("poe/*", {"model": "poe/*", "timeout": 5.0}),
        ("*", {"model": "poe/*", "timeout": 5.0}),
    ]
    error = "no key for Poe: set POE_API_KEY (it is unset or blank); without a key, `quoth demo` shows it all offline"
    assert written.error("router_settings: {num_retries: 1}\n", POE_API_KEY=" ") == f"None:None : {error}"


def test_an_entry_as_plain_data(written: Written) -> None:
    settings = written.load(
        models(
            entry(
                "one",
                "{model: poe/A, base_url: 'https://x.example/v1/', rpm: 60, tpm: '1000', weight: 0.5, order: 1, "
                "timeout: 2m, stream_timeout: 500ms, tags: paid, max_retries: 3, drop_params: 'true', thinking: high, "
                "extra_headers: {X-A: b}, stop: ['\\n'], max_parallel_requests: 4, budget_duration: 1d}",
                "{id: first, mode: chat, fancy: [1]}",
            )
        )
    )
    (one,) = settings.models
    assert one.litellm_params == {
        "model": "poe/A",
        "api_base": "https://x.example/v1",
        "rpm": 60,
        "tpm": 1000,
        "weight": 0.5,
        "order": 1,
        "timeout": 120.0,
        "stream_timeout": 0.5,
        "tags": ["paid"],
        "max_retries": 3,
        "drop_params": True,
        "thinking": "high",
        "extra_headers": {"X-A": "b"},
        "stop": ["\\n"],
        "max_parallel_requests": 4,
    }
    assert one.model_info == {"id": "first", "mode": "chat", "fancy": [1]}
    assert one.where == f"{written.folder / 'config.yaml'}:2"


def test_defaults_of_every_entry_give_way_to_its_own(written: Written) -> None:
    text = f"{params('timeout: 3')}router_settings:\n  default_litellm_params: {{timeout: 9, max_tokens: 7}}\n"
    settings = written.load(f"{text}  default_max_parallel_requests: 5\n")
    assert settings.models[0].litellm_params == {
        "model": "poe/A",
        "timeout": 3.0,
        "max_tokens": 7,
        "max_parallel_requests": 5,
    }


class TestShape:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("model_list: {a: b}\n", "1:13 model_list: it has to be a list"),
            ("model_list: []\n", "1:13 model_list: it is empty; leave it out to serve every model of Poe"),
            ("model_list: [x]\n", "1:14 model_list[0]: it has to be a mapping with model_name and litellm_params"),
            ("model_list:\n  - litellm_params: {model: poe/A}\n", "2:5 model_list[0]: model_name is missing"),
            ("model_list:\n  - model_name: a\n", "2:5 model_list[0]: litellm_params is missing"),
            (models(entry("a", "{}")), "3:21 model_list[0].litellm_params: model is missing, such as"),
            (models(entry("a", "x")), "3:21 model_list[0].litellm_params: it has to be a mapping with at least model"),
            (models(entry("a", "{model: poe/A}", "7")), "4:17 model_list[0].model_info: it has to be a mapping"),
            (models(entry(" ", "{model: poe/A}")), "2:17 model_list[0].model_name: it is ' '; it has to be a text"),
            ("model_list:\n  - modle_name: a\n", "2:5 model_list[0].modle_name: modle_name is not known here; did you"),
        ],
    )
    def test_it_is_checked(self, written: Written, text: str, said: str) -> None:
        assert written.errors(text)[0].startswith(said)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("rpm: many", "rpm: it is 'many'; it has to be a whole number, 1 or more"),
            ("rpm: 0", "rpm: it is 0; it has to be a whole number, 1 or more"),
            ("weight: -1", "weight: it is -1; it has to be a number, 0 or more"),
            ("weight: .nan", "weight: it is nan; it has to be a number, 0 or more"),
            ("timeout: soon", 'timeout: it is \'soon\'; it has to be seconds, or a text such as "30s", "2m" or "24h"'),
            ("timeout: 0", "timeout: it is 0; it has to be seconds"),
            ("drop_params: maybe", "drop_params: it is 'maybe'; it has to be true or false"),
            ("tags: {a: b}", "tags: it is a mapping; it has to be a list of texts"),
            ("tags: [1]", "tags[0]: it is 1; it has to be a text"),
            ("extra_headers: [a]", "extra_headers: it is a list; it has to be a mapping of names to values"),
            ("extra_headers: {'a b': c}", "extra_headers.a b: 'a b' is not the name of a header"),
            ("extra_headers: {'': c}", "extra_headers.: '' is not the name of a header"),
            ("headers: {Transfer-Encoding: chunked}", "headers.Transfer-Encoding: Transfer-Encoding is for the conn"),
            ("extra_headers: {content-length: '5'}", "extra_headers.content-length: content-length is for the conn"),
            ("extra_headers: {a: 1}", "extra_headers.a: it has to be a text; put quotation marks around it"),
            ("api_base: poe.example", "api_base: it is 'poe.example'; it has to be a URL such as https://host/v1"),
            ("api_base: 'https://me:pw@x.example'", "api_base: a URL with a user or a password in it is not allowed"),
            ("temperature: hot", "temperature: it is 'hot'; it has to be a number, 0 or more"),
            ("max_tokens: 1.5", "max_tokens: it is 1.5; it has to be a whole number, 1 or more"),
            ("stop: [1]", "stop: it has to be a text, or a list of texts"),
            ("tools: {}", "tools: it is a mapping; it has to be a list"),
            ("api_bsae: x", "api_bsae: api_bsae is not known; did you mean api_base?"),
            ("teperature: 1", "teperature: teperature is not known; did you mean temperature?"),
            ("wire: morse", "wire: poe speaks anthropic_messages, openai_responses, openai_chat, not 'morse'"),
            ("base_url: 'http://a.example', api_base: 'http://b.example'", "base_url: api_base says something else"),
        ],
    )
    def test_so_are_the_values(self, written: Written, text: str, said: str) -> None:
        assert f"model_list[0].litellm_params.{said}" in written.error(params(text))

    def test_what_is_near_to_nothing_is_a_parameter_of_the_model(self, written: Written) -> None:
        text = "aspect_ratio: '16:9', web_search: true, thinking_budget: 5, size: 1k, top_k: 3, tag: x"
        (one,) = written.load(params(text)).models
        assert one.litellm_params.keys() >= {"aspect_ratio", "web_search", "thinking_budget", "size", "top_k", "tag"}

    def test_what_each_call_says_itself_is_no_default(self, written: Written) -> None:
        """A caller that did not ask for a stream could not read one."""
        settings = written.load(params("stream: true, messages: [], temperature: 1"))
        assert settings.models[0].litellm_params.keys() == {"model", "temperature"}
        assert sorted(warning.path for warning in settings.warnings) == [
            "model_list[0].litellm_params.messages",
            "model_list[0].litellm_params.stream",
        ]

    def test_no_parameter_of_a_shipped_model_is_taken_for_a_slip(self) -> None:
        names = {parameter.name for model in shipped() for parameter in model.parameters or ()}
        assert {name: near for name in names if (near := misspelt(name)) not in (None, name)} == {}


class TestProviders:
    def test_an_unknown_one_is_told_what_was_meant(self, written: Written) -> None:
        error = written.error(models(entry("a", "{model: opnai/gpt-4o}")))
        assert error.startswith(
            "3:29 model_list[0].litellm_params.model: 'opnai' (in 'opnai/gpt-4o') is not a provider."
        )
        assert "Did you mean 'openai'?" in error

    def test_one_of_litellms_is_refused_even_with_an_address(self, written: Written) -> None:
        error = written.error(models(entry("a", "{model: azure/x, api_base: 'https://x.example', api_key: k}")))
        assert "azure is a provider of LiteLLM's for which there is no row here" in error
        custom = written.load(models(entry("a", "{model: custom_openai/x, api_base: 'https://x.example', api_key: k}")))
        assert custom.models[0].litellm_params["model"] == "custom_openai/x"

    def test_a_host_that_is_missing(self, written: Written) -> None:
        text = models(entry("a", "{model: custom_openai/x}"))
        assert "custom_openai has no host of its own: write api_base, or set CUSTOM_OPENAI_API_BASE" in written.error(
            text
        )
        assert written.load(text, CUSTOM_OPENAI_API_BASE="http://127.0.0.1:9/v1").models

    def test_a_key_that_is_missing(self, written: Written) -> None:
        error = written.error(models(entry("a", "{model: groq/x}")))
        assert error == (
            "3:29 model_list[0].litellm_params.model: "
            "no key for Groq: set GROQ_API_KEY (it is unset or blank), or write api_key"
        )
        assert written.load(models(entry("a", "{model: groq/x}")), GROQ_API_KEY="k").models
        assert written.load(models(entry("a", "{model: groq/x, api_key: k}"))).models
        assert written.load(models(entry("a", "{model: groq/x, mock_response: hi}"))).models
        assert written.load(models(entry("a", "{model: ollama/x}"))).models

    def test_rows_of_ones_own(self, written: Written) -> None:
        row = "{name: acme, base_url: 'https://llm.acme.example/v1', key_env: [ACME_KEY]}"
        text = f"{models(entry('a', '{model: acme/x}'))}quoth: {{providers: [{row}]}}\n"
        settings = written.load(text, ACME_KEY="k")
        found = settings.registry().get("acme")
        assert found is not None
        assert (found.base_url, found.key_env) == ("https://llm.acme.example/v1", ("ACME_KEY",))
        assert "set ACME_KEY (it is unset or blank)" in written.error(text)
        wrong = written.errors(text.replace("base_url", "base_ulr"), ACME_KEY="k")
        assert wrong[-1].startswith("4:21 quoth.providers[0]: unknown field 'base_ulr'")
        twice = written.errors(text.replace("[{", f"[{row}, {{"), ACME_KEY="k")
        assert any("quoth.providers[1]: there is a row named 'acme' above" in one for one in twice)

    def test_rows_in_a_file_beside(self, written: Written) -> None:
        rows = '[[provider]]\nname = "acme"\nbase_url = "https://llm.acme.example/v1"\n'
        path = written.file(rows, "rows.toml")
        text = f"{models(entry('a', '{model: acme/x}'))}quoth: {{providers: rows.toml}}\n"
        settings = written.load(text, ACME_API_KEY="k")
        assert settings.registry().get("acme") is not None
        assert path in settings.source_files
        assert "cannot be read" in written.errors(text.replace("rows.toml", "nowhere.toml"))[-1]
        assert "it has to be the path of a TOML file, or a list" in written.error(f"{ONE}quoth: {{providers: 3}}\n")


class TestHosts:
    @pytest.mark.parametrize(
        "text",
        [
            "{model: openai/x, api_base: 'https://api.poe.com/v1'}",
            "{model: openai/x, api_base: 'https://api.poe.com/v1', api_key: os.environ/OPENAI_API_KEY}",
            "{model: poe/x, api_base: 'https://api.poe.com/v1', api_key: os.environ/OPENAI_API_KEY}",
            "{model: poe/x, api_key: os.environ/OPENAI_API_KEY}",
            "{model: custom_openai/x, api_base: 'https://API.poe.com:443', api_key: os.environ/OPENAI_API_KEY}",
        ],
    )
    def test_a_key_does_not_go_to_another_providers_host(self, written: Written, text: str) -> None:
        error = written.error(models(entry("a", text)))
        assert "OPENAI_API_KEY is openai's key and this is poe's host, so it is not sent there" in error
        assert error.startswith("3:")

    @pytest.mark.parametrize(
        "text",
        [
            "{model: poe/x, api_base: 'http://127.0.0.1:8100/v1'}",
            "{model: poe/x, api_base: 'https://proxy.mine.example/v1', api_key: os.environ/POE_API_KEY}",
            "{model: openai/x, api_base: 'https://api.poe.com/v1', api_key: os.environ/POE_API_KEY}",
            "{model: openai/x, api_base: 'https://api.poe.com/v1', api_key: a-literal-key}",
            "{model: openai/x, api_base: 'https://api.poe.com/v1', api_key: os.environ/MY_OWN}",
        ],
    )
    def test_but_where_its_owner_said(self, written: Written, text: str) -> None:
        assert written.load(models(entry("a", text)), MY_OWN="k").models

    def test_and_where_the_variable_says(self, written: Written) -> None:
        text = models(entry("a", "{model: poe/x, api_key: os.environ/OPENAI_API_KEY}"))
        assert written.load(text, POE_API_BASE="http://127.0.0.1:8100/v1").models


class TestCredentials:
    def test_an_entry_may_refer_to_one(self, written: Written) -> None:
        text = "credential_list:\n  - {credential_name: c, credential_values: {api_key: k, rpm: 3}}\n"
        (one,) = written.load(f"{params('litellm_credential_name: c, rpm: 4')}{text}").models
        assert one.litellm_params == {"model": "poe/A", "api_key": "k", "rpm": 4}

    def test_it_has_to_exist_once(self, written: Written) -> None:
        text = "credential_list:\n  - {credential_name: cred, credential_values: {api_key: k}}\n"
        error = written.error(f"{params('litellm_credential_name: creed')}{text}")
        assert "litellm_credential_name: credential_list has no 'creed'; did you mean cred?" in error
        twice = f"{text}  - {{credential_name: cred, credential_values: {{}}}}\n"
        assert "credential_list[1]: there is a credential 'cred' above" in written.error(f"{ONE}{twice}")
        assert "credential_list[0]: it needs credential_name and" in written.error(f"{ONE}credential_list: [x]\n")
        assert "credential_list: it has to be a list" in written.error(f"{ONE}credential_list: {{a: b}}\n")


class TestGroups:
    def test_twins_are_refused(self, written: Written) -> None:
        twin = entry("a", "{model: poe/A, api_key: os.environ/K1}")
        other = entry("a", "{model: poe/A, api_key: os.environ/K2}")
        assert len(written.load(models(twin, other), K1="k1", K2="k2").models) == 2
        error = written.error(models(twin, entry("b", "{model: poe/A}"), twin), K1="k1")
        assert error.startswith("6:5 model_list[2]: it is the same deployment as that at ")
        assert "config.yaml:2; take one of them out" in error
        assert "the same deployment" in written.error(models(twin, other), K1="k", K2="k")
        assert "the same deployment" in written.error(
            "model_list: [&a {model_name: a, litellm_params: {model: poe/A}}, *a]"
        )

    def test_ids_are_unique(self, written: Written) -> None:
        assert written.load(models(entry("a", "{model: poe/A}", "{id: 1}"))).models[0].model_info == {"id": "1"}
        assert "model_info.id: it is true; it has to be a text" in written.error(
            models(entry("a", "{model: poe/A}", "{id: true}"))
        )
        error = written.error(models(entry("a", "{model: poe/A}", "{id: x}"), entry("b", "{model: poe/B}", "{id: x}")))
        assert error.startswith("7:22 model_list[1].model_info.id: 'x' is also the id of the entry at ")

    def test_weights_that_choose_nobody(self, written: Written) -> None:
        zero = entry("a", "{model: poe/A, weight: 0}")
        assert written.load(models(zero, entry("a", "{model: poe/B, weight: 1}"))).models
        assert written.load(models(zero, entry("a", "{model: poe/B}"))).models
        error = written.error(models(zero, entry("a", "{model: poe/B, weight: 0.0}"), entry("b", "{model: poe/A}")))
        assert "model_list[0].litellm_params.weight: every deployment of 'a' has the weight 0" in error

    def test_several_organizations_are_several_deployments(self, written: Written) -> None:
        text = models(entry("a", "{model: openai/gpt-4o, organization: [org-1, org-2]}", "{id: x}"))
        found = written.load(text).models
        assert [one.litellm_params["organization"] for one in found] == ["org-1", "org-2"]
        assert [one.model_info["id"] for one in found] == ["x-org-1", "x-org-2"]
        (one,) = written.load(models(entry("a", "{model: openai/gpt-4o, organization: org-1}"))).models
        assert one.litellm_params["organization"] == "org-1"


class TestModelsThatTheCatalogueDoesNotHave:
    """It may be older than Poe's own list, so that they are called all the same."""

    @staticmethod
    def warned(written: Written, *entries: str, strict: bool = False) -> list[str]:
        return [
            f"{one.line}:{one.column} {one.path}: {one.message}"
            for one in written.load(models(*entries), strict=strict).warnings
        ]

    def test_the_name_of_an_example(self, written: Written) -> None:
        (only,) = self.warned(written, entry("poe-model", "{model: poe/model-name}"), strict=True)
        assert only == (
            "3:29 model_list[0].litellm_params.model: 'model-name' is not in the catalogue of Poe's models, "
            "which lacks new and private ones; `quoth models` lists what is"
        )

    def test_near_names_are_told(self, written: Written) -> None:
        slip = entry("a", "{model: poe/Cluade-Sonnet-4.6}")
        (only,) = self.warned(written, entry("b", "{model: poe/GPT-5}"), slip)
        assert only.startswith("5:29 model_list[1].litellm_params.model: 'Cluade-Sonnet-4.6' is not in the catalogue")
        assert "; did you mean poe/claude-sonnet-4.6, poe/" in only

    def test_each_is_named_wherever_it_is_called(self, written: Written) -> None:
        found = self.warned(
            written,
            entry("a", "{model: no-such, custom_llm_provider: poe}"),
            entry("b", "{model: poe/no-such, api_base: 'http://127.0.0.1:8100/v1'}"),
        )
        assert [one.partition(" ")[0] for one in found] == ["3:29", "5:29"]

    @pytest.mark.parametrize(
        "params",
        [
            "{model: poe/claude-SONNET-4.6}",
            "{model: 'poe/*'}",
            "{model: poe/no-such, mock_response: hello}",
            "{model: custom_openai/no-such, api_base: 'https://x.example/v1', api_key: k}",
            "{model: openai/no-such}",
        ],
    )
    def test_what_is_known_or_not_to_be_known(self, written: Written, params: str) -> None:
        assert self.warned(written, entry("a*", params)) == []

    def test_however_many_they_are(self, written: Written) -> None:
        many = [entry(f"m{number}", f"{{model: poe/Cluade-Sonnet-4.{number}}}") for number in range(300)]
        found = self.warned(written, *many)
        assert len(found) >= 295
        assert "did you mean" in found[0]
        assert "did you mean" not in found[-1]


class TestWildcards:
    @pytest.mark.parametrize(
        ("name", "model", "said"),
        [
            ("poe/**", "poe/*", "'poe/**' has more than one *, so that it never matches"),
            ("*/*", "poe/*", "'*/*' has more than one *"),
            ("mine", "poe/*", "'poe/*' has a * and 'mine' has none, so that nothing can stand for it"),
            ("m*", "poe/*-*", "'poe/*-*' has more than one *"),
            ("m" * 513, "poe/A", "a name has 1 to 512 characters"),
        ],
    )
    def test_what_can_never_be_reached(self, written: Written, name: str, model: str, said: str) -> None:
        assert f"2:17 model_list[0].model_name: {said}" in written.error(models(entry(name, f"{{model: {model!r}}}")))

    def test_what_no_call_can_name(self, written: Written) -> None:
        text = 'model_list:\n  - model_name: "a\\nb"\n    litellm_params: {model: poe/A}\n'
        said = "2:17 model_list[0].model_name: 'a\\nb' has a character that cannot be seen, so that no call can name it"
        assert written.error(text) == said

    def test_what_can(self, written: Written) -> None:
        found = models(
            entry("poe/*", "{model: 'poe/*'}"),
            entry("*-mini", "{model: 'openai/*-mini'}"),
            entry("team-*", "{model: poe/Claude-Sonnet-4.6}"),
            entry("*", "{model: '*'}"),
        )
        assert len(written.load(found).models) == 4

    def test_names_that_are_served(self, written: Written) -> None:
        settings = written.load(
            f"{models(entry('one', '{model: poe/A}'), entry('a*z', '{model: poe/*}'))}"
            "router_settings: {model_group_alias: {two: one}}\n"
        )
        names = Names(settings.models, settings.aliases)
        assert [name for name in ("one", "two", "three", "a1z", "az", "a1") if names.serves(name)] == [
            "one",
            "two",
            "a1z",
        ]


class TestAliases:
    @staticmethod
    def aliased(text: str) -> str:
        two = models(entry("one", "{model: poe/A}"), entry("team-*", "{model: 'poe/*'}"))
        return f"{two}router_settings:\n  model_group_alias: {text}\n"

    def test_both_forms(self, written: Written) -> None:
        settings = written.load(
            self.aliased("{a: one, b: {model: team-x, hidden: true}, c: {model: one, hidden: false}}")
        )
        assert settings.aliases == {"a": "one", "b": "team-x", "c": "one"}
        assert settings.hidden_aliases == ("b",)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{one: team-x}", "one: 'one' is also a model_name; the alias would never be used"),
            ("{a: onne}", "a: model_list has no 'onne'; did you mean one?"),
            ("{a: b, b: one}", "a: 'b' is an alias itself; name a model of model_list"),
            ("{a: a}", "a: 'a' is an alias itself"),
            ('{"a\\tb": one}', "a\tb: 'a\\tb' has a character that cannot be seen"),
            ("{'': one}", ": a name has 1 to 512 characters, so that no call can name this one"),
            ("{'a*': one}", "a*: an alias is one name; a * has no meaning in it"),
            ("{a: [one]}", "a: it is a list; it has to be a text"),
            ("{a: {model: one, hiden: true}}", "a.hiden: hiden is not known here; did you mean hidden?"),
            ("{a: {model: one, hidden: 3}}", "a.hidden: it is 3; it has to be true or false"),
        ],
    )
    def test_what_makes_no_sense(self, written: Written, text: str, said: str) -> None:
        assert f"router_settings.model_group_alias.{said}" in written.error(self.aliased(text))

    def test_circles(self, written: Written) -> None:
        assert len(written.errors(self.aliased("{a: b, b: a}"))) == 2
        assert "it has to be a mapping of aliases to model names" in written.error(self.aliased("[a]"))
