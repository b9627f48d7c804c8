"""What is public is a tested fact."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import quoth
import quoth.errors
import quoth.exceptions
from quoth.sdk import elsewhere

ROOT = Path(__file__).resolve().parent.parent.parent

FUNCTIONS = (
    "anthropic_messages aresponses messages responses "
    "aattach aget_valid_models amodels abalance abatch_completion acompletion adownload areconcile attach "
    "ausage_history balance batch_completion budget "
    "completion completion_cost cost_per_token download get_llm_provider get_supported_openai_params reconcile "
    "usage_history stream_chunk_builder token_counter validate_environment get_max_tokens get_model_info "
    "get_valid_models models register_model supports_audio_input supports_audio_output supports_function_calling "
    "supports_parallel_function_calling supports_pdf_input supports_prompt_caching supports_reasoning "
    "supports_response_schema supports_system_messages supports_tool_choice supports_vision supports_web_search "
    "aimage_edit aimage_generation aspeech atranscription avideo_content avideo_generation avideo_remix avideo_status "
    "image_edit image_generation speech transcription video_content video_generation video_remix video_status"
).split()
CLASSES = (
    "AnthropicMessage AsyncClient AsyncEventStream AsyncStream Attempt Balance Budget Choice Chunk ChunkChoice "
    "Client Completion Cost "
    "Delta EventStream "
    "Function Media Message ModelInfo Reconciled Response Router "
    "Stream Timeouts ToolCall Usage UsageRow Warning "
    "Content Image ImagesResponse Speech Transcription Video"
).split()
LITELLMS = {
    "ModelResponse": "Completion",
    "ModelResponseStream": "Chunk",
    "Choices": "Choice",
    "StreamingChoices": "ChunkChoice",
    "ChatCompletionMessageToolCall": "ToolCall",
}
ERRORS = set(quoth.errors.__all__) - {"for_status"}


def test_public_names() -> None:
    assert sorted(quoth.__all__) == sorted(["__version__", *FUNCTIONS, *CLASSES, *LITELLMS, *ERRORS])


def test_every_name_is_there_and_listed() -> None:
    assert set(quoth.__all__) <= set(dir(quoth))
    for name in quoth.__all__:
        assert getattr(quoth, name) is not None
    names: dict[str, object] = {}
    exec("from quoth import *", names)
    assert set(quoth.__all__) <= names.keys()


@pytest.mark.parametrize(("theirs", "ours"), LITELLMS.items())
def test_names_of_litellm_are_the_same_classes(theirs: str, ours: str) -> None:
    assert getattr(quoth, theirs) is getattr(quoth, ours)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'no_such_name'"):
        getattr(quoth, "no_such_name")  # noqa: B009  an attribute would be a type error
    assert not hasattr(quoth, "embedding")


@pytest.mark.parametrize(
    ("name", "value"),
    [("drop_params", True), ("success_callback", ["langfuse"]), ("max_budget", 5), ("set_verbose", True)],
)
def test_a_setting_of_litellms_module_is_not_taken_in_silence(name: str, value: object) -> None:
    with pytest.raises(AttributeError, match=rf"quoth\.{name} is a setting of LiteLLM's that has no effect here: "):
        setattr(quoth, name, value)
    assert not hasattr(quoth, name)


def test_a_name_of_litellms_module_says_what_to_use_instead() -> None:
    with pytest.raises(AttributeError, match="'embedding': the gateway has /v1/embeddings"):
        getattr(quoth, "embedding")  # noqa: B009
    with pytest.raises(AttributeError, match="'num_retries': pass it to the call"):
        getattr(quoth, "num_retries")  # noqa: B009
    with pytest.raises(AttributeError, match=r"quoth\.register_model\(\{\.\.\.\}\) adds"):
        getattr(quoth, "model_cost")  # noqa: B009


def test_what_stands_elsewhere_is_not_here() -> None:
    for name in elsewhere.NAMES:
        assert not hasattr(quoth, name), name
        assert elsewhere.instead_of(name), name


def test_other_names_can_be_assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tests of other programs do."""
    with monkeypatch.context() as patched:
        patched.setattr(quoth, "completion", print)
        patched.setattr(quoth, "mine", 1, raising=False)
        assert (quoth.completion, quoth.mine) == (print, 1)  # type: ignore[attr-defined, comparison-overlap]
    assert not hasattr(quoth, "mine")


def test_exceptions_stand_in_three_places() -> None:
    for name in ERRORS:
        assert getattr(quoth, name) is getattr(quoth.exceptions, name) is getattr(quoth.errors, name)


def test_functions_and_classes_say_what_they_do() -> None:
    """In words of their own, not those of a parent; and so do their public methods and properties."""
    for name in [*FUNCTIONS, *CLASSES, *ERRORS]:
        thing = getattr(quoth, name)
        assert vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__, name
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not member.startswith(("_", "model_")) and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"
    assert inspect.getdoc(quoth.Client.__init__)


def test_signatures_of_both_completions_are_one() -> None:
    assert inspect.signature(quoth.completion) == inspect.signature(quoth.acompletion)
    assert inspect.iscoroutinefunction(quoth.acompletion)
    parameters = list(inspect.signature(quoth.completion).parameters.values())
    assert [parameter.name for parameter in parameters[:2]] == ["model", "messages"]
    kinds = {parameter.kind for parameter in parameters[2:]}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_clients_take_the_same() -> None:
    assert inspect.signature(quoth.Client) == inspect.signature(quoth.AsyncClient)


def test_signatures_are_as_their_generator_writes_them() -> None:
    generator = ROOT / "scripts" / "generate_signatures.py"
    done = subprocess.run([sys.executable, str(generator), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
