"""Values from the environment, secrets in files, and what is no secret (S3). No value is ever shown."""

from __future__ import annotations

import pytest

from quoth.gateway.settings import Refused, load, weakness
from quoth.gateway.settings.secrets import is_placeholder
from tests.gateway.settings.conftest import KEYS, MASTER, ONE, Written


def with_key(key: str) -> str:
    return f"model_list:\n  - model_name: one\n    litellm_params:\n      model: poe/A\n      api_key: {key}\n"


def test_variables_are_replaced_anywhere(written: Written) -> None:
    settings = written.load(
        """\
model_list:
  - model_name: one
    litellm_params:
      model: os.environ/THE_MODEL
      rpm: os.environ/THE_RPM
      extra_headers: {X-Team: os.environ/TEAM}
      extra_body: {deep: [{er: os.environ/TEAM}]}
litellm_settings: {drop_params: os.environ/DROP}
""",
        THE_MODEL="poe/A",
        THE_RPM="30",
        TEAM="blue",
        DROP="True",
    )
    assert settings.models[0].litellm_params == {
        "model": "poe/A",
        "rpm": 30,
        "extra_headers": {"X-Team": "blue"},
        "extra_body": {"deep": [{"er": "blue"}]},
    }
    assert settings.drop_params is True


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_missing_or_blank_variable_is_refused_by_name(written: Written, value: str | None) -> None:
    environment = {} if value is None else {"MY_KEY": value}
    said = "5:16 model_list[0].litellm_params.api_key: the environment variable MY_KEY is not set, or blank"
    assert written.error(with_key("os.environ/MY_KEY"), **environment) == said


def test_a_missing_variable_is_told_once(written: Written) -> None:
    params = "{model: poe/A, api_base: os.environ/BASE, rpm: os.environ/R}"
    text = f"model_list:\n  - model_name: one\n    litellm_params: {params}\n"
    assert [error.partition(": ")[2] for error in written.errors(text)] == [
        "the environment variable BASE is not set, or blank",
        "the environment variable R is not set, or blank",
    ]


def test_no_message_shows_what_came_from_the_environment(written: Written) -> None:
    text = "model_list:\n  - model_name: one\n    litellm_params: {model: os.environ/THE_MODEL}\n"
    error = written.error(text, THE_MODEL="hunter2")
    assert "'<the value of THE_MODEL>' does not say whose model it is" in error
    assert "hunter2" not in error


def test_a_value_of_the_wrong_kind_is_not_shown(written: Written) -> None:
    text = "model_list:\n  - model_name: one\n    litellm_params: {model: poe/A, rpm: os.environ/RPM}\n"
    error = written.error(text, RPM="hunter2")
    assert "it is the value of RPM; it has to be a whole number, 1 or more" in error
    assert "hunter2" not in error


@pytest.mark.parametrize(
    "key", ["changeme", "CHANGE-ME", "<your-api-key>", "your_api_key", "sk-...", "xxxx", '"sk-<x>"']
)
def test_placeholders_are_refused(written: Written, key: str) -> None:
    assert "it is a placeholder" in written.error(with_key(key))
    error = written.error(with_key("os.environ/MY_KEY"), MY_KEY=key.strip('"'))
    assert error.endswith("MY_KEY holds a placeholder; set it to the real value")


def test_keys_of_providers_are_not_judged_otherwise(written: Written) -> None:
    for key in ("sk-1234", "none", "anything", "k", "fake-key"):
        assert written.load(with_key(key)).models[0].litellm_params["api_key"] == key
        assert not is_placeholder(key)


@pytest.mark.parametrize(
    "key",
    ["${POE_KEY}", "$POE_KEY", "os.environ.POE_KEY", "env/POE_KEY", '"{{ env.POE_KEY }}"', '"{{POE_KEY}}"'],
)
def test_other_notations_for_variables_are_explained(written: Written, key: str) -> None:
    assert "write os.environ/POE_KEY to take it from the environment" in written.error(with_key(key))


def test_a_blank_key_and_one_with_line_breaks(written: Written) -> None:
    assert "it is blank; write the key, or os.environ/NAME" in written.error(with_key('" "'))
    error = written.error(with_key('"ab\\ncd"'))
    assert "it has characters that no HTTP header can carry" in error
    assert "ab" not in error.partition("it has")[0].rpartition(":")[2]
    assert "it has to be a text; put quotation marks around it" in written.error(with_key("12345"))


class TestFiles:
    def test_a_secret_may_stand_in_a_file(self, written: Written) -> None:
        secret = written.file("key-from-a-file\n", "secret")
        settings = written.load(with_key("os.environ/MY_KEY"), MY_KEY_FILE=secret)
        assert settings.models[0].litellm_params["api_key"] == "key-from-a-file"
        assert secret in settings.source_files

    def test_so_may_the_key_of_a_provider(self, written: Written) -> None:
        secret = written.file("key-from-a-file\n", "secret")
        settings = written.load(ONE, POE_API_KEY="", POE_API_KEY_FILE=secret)
        assert settings.environ({"A": "b"}) == {"A": "b", "POE_API_KEY": "key-from-a-file"}
        without = load(None, {"POE_API_KEY_FILE": secret})
        assert without.environment == {"POE_API_KEY": "key-from-a-file"}
        assert without.source_files == (secret,)

    def test_and_the_master_key(self, written: Written) -> None:
        secret = written.file(f"{MASTER}\n", "secret")
        assert load(None, {"POE_API_KEY": "k", "QUOTH_MASTER_KEY_FILE": secret}).master_key == MASTER

    def test_the_variable_itself_wins(self, written: Written) -> None:
        secret = written.file("key-from-a-file", "secret")
        settings = written.load(with_key("os.environ/MY_KEY"), MY_KEY="key-itself", MY_KEY_FILE=secret)
        assert settings.models[0].litellm_params["api_key"] == "key-itself"

    def test_a_file_that_is_missing_blank_or_huge(self, written: Written) -> None:
        nowhere = str(written.folder / "nowhere")
        error = written.error(with_key("os.environ/MY_KEY"), MY_KEY_FILE=nowhere)
        assert error.endswith(f"MY_KEY_FILE names {nowhere}, which cannot be read: No such file or directory")
        for content in ("\n", "x" * 100_000):
            secret = written.file(content, "secret")
            assert "which is blank or far too long" in written.error(with_key("os.environ/MY_KEY"), MY_KEY_FILE=secret)


class TestEnvironmentVariables:
    def test_they_may_be_named_and_win_over_the_process(self, written: Written) -> None:
        settings = written.load(
            f"{with_key('os.environ/MY_KEY')}"
            "environment_variables: {MY_KEY: own, PORT: 7, FLAG: true, COPY: os.environ/OUTER}\n",
            MY_KEY="outer",
            OUTER="from outside",
        )
        assert settings.models[0].litellm_params["api_key"] == "own"
        assert settings.environ({"MY_KEY": "outer"}) == {
            "MY_KEY": "own",
            "PORT": "7",
            "FLAG": "true",
            "COPY": "from outside",
        }

    def test_they_give_providers_their_keys(self, written: Written) -> None:
        settings = written.load(f"{ONE}environment_variables: {{POE_API_KEY: own}}\n", POE_API_KEY="")
        assert settings.environment == {"POE_API_KEY": "own"}

    def test_they_are_texts(self, written: Written) -> None:
        error = written.error(f"{ONE}environment_variables: {{A: [1]}}\n")
        assert error == "4:28 environment_variables.A: the value of a variable is a text or a number"
        assert "it has to be a mapping" in written.error(f"{ONE}environment_variables: [A]\n")


class TestMasterKey:
    def test_where_it_comes_from(self, written: Written) -> None:
        other, third = f"{MASTER}-2", f"{MASTER}-3"
        in_file = f"{ONE}general_settings: {{master_key: os.environ/OTHER}}\n"
        assert written.load(in_file, OTHER=other).master_key == other
        assert written.load(ONE, LITELLM_MASTER_KEY=third).master_key == MASTER
        assert written.load(ONE, QUOTH_MASTER_KEY="", LITELLM_MASTER_KEY=third).master_key == third

    def test_without_one_there_is_a_warning_on_loopback(self, written: Written) -> None:
        settings = written.load(ONE, QUOTH_MASTER_KEY="")
        assert settings.master_key is None
        assert ["there is no master key" in warning.message for warning in settings.warnings] == [True]

    @pytest.mark.parametrize("key", ["sk-1234", "sk-1234567890abcdef", "short", "a" * 40, "sk-" + "ab" * 20])
    def test_weak_ones_are_refused(self, written: Written, key: str) -> None:
        assert weakness(key) is not None
        for text, environment in [
            (f"{ONE}general_settings: {{master_key: {key}}}\n", {}),
            (ONE, {"QUOTH_MASTER_KEY": key}),
        ]:
            error = written.error(text, **environment)
            assert "secrets.token_urlsafe(32)" in error
            assert key not in error.partition(". Make one")[0].partition(": ")[2]

    def test_unless_that_is_permitted(self, written: Written) -> None:
        text = "general_settings: {master_key: sk-1234, dangerously_permit_weak_or_unset_master_key: true}\n"
        settings = written.load(f"{ONE}{text}")
        assert settings.master_key == "sk-1234"
        assert "dangerously_permit_weak_or_unset_master_key" in settings.warnings[-1].message

    def test_it_has_to_fit_into_a_header(self, written: Written) -> None:
        for key in ("schlüssel-mit-umlauten", "key with many spaces in it"):
            error = written.error(ONE, QUOTH_MASTER_KEY=key)
            assert "it has characters that no HTTP header can carry" in error

    def test_a_good_one_is_good(self) -> None:
        assert weakness(MASTER) is None


def test_no_key_for_poe_and_no_file() -> None:
    with pytest.raises(Refused) as caught:
        load(None, {})
    (error, warning) = caught.value.problems
    assert (
        str(error)
        == "no key for Poe: set POE_API_KEY (it is unset or blank); without a key, `quoth demo` shows it all offline"
    )
    assert warning.severity == "warning"


def test_no_repr_shows_a_secret(written: Written) -> None:
    settings = written.load(
        f"{with_key('hunter2-the-key')}quoth: {{proxy: 'http://me:hunter2@proxy.example:3128'}}\n"
        "environment_variables: {B: hunter2}\n"
    )
    shown = f"{settings!r} {settings.models!r} {settings.network!r} {settings.quoth!r} {settings.server!r}"
    assert "hunter2" not in shown
    assert KEYS["QUOTH_MASTER_KEY"] not in shown
