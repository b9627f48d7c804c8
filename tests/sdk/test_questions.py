"""Questions about a name, answered without calling anybody."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

import quoth
from quoth.emulator import Emulator
from quoth.sdk import tokens

LOREM = (
    "The committee met on Tuesday to discuss the budget, which had grown by 12% since March. "
    "Nobody objected; the chairwoman closed the meeting at 4:30 and went home."
)


def test_provider_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POE_API_KEY", "POE_API_BASE", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert quoth.get_llm_provider("poe/Grok-4") == ("Grok-4", "poe", None, "https://api.poe.com/v1")
    assert quoth.get_llm_provider("groq/a/b/c")[:2] == ("a/b/c", "groq")
    assert quoth.get_llm_provider("gpt-5.2")[:2] == ("gpt-5.2", "openai")
    assert quoth.get_llm_provider("Grok-4", custom_llm_provider="poe")[:2] == ("Grok-4", "poe")
    assert quoth.get_llm_provider("Grok-4", api_base="https://api.poe.com/v1")[:2] == ("Grok-4", "poe")
    monkeypatch.setenv("POE_API_KEY", "k")
    monkeypatch.setenv("POE_API_BASE", "http://127.0.0.1:1/v1")
    assert quoth.get_llm_provider("poe/Grok-4") == ("Grok-4", "poe", "k", "http://127.0.0.1:1/v1")
    assert quoth.get_llm_provider("poe/Grok-4", api_key="mine")[2] == "mine"


@pytest.mark.parametrize("name", ["Grok-4", "poee/Grok-4", "", "poe/"])
def test_a_name_of_nobody_is_an_error_with_a_proposal(name: str) -> None:
    with pytest.raises(quoth.BadRequestError) as caught:
        quoth.get_llm_provider(name)
    assert caught.value.param == "model"
    if name == "Grok-4":
        assert "'poe/Grok-4'" in str(caught.value)
    if name == "poee/Grok-4":
        assert "Did you mean 'poe'?" in str(caught.value)


def test_environment_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POE_API_KEY", raising=False)
    missing = {"keys_in_environment": False, "missing_keys": ["POE_API_KEY"]}
    assert quoth.validate_environment("poe/Grok-4") == missing
    monkeypatch.setenv("POE_API_KEY", "  ")
    assert quoth.validate_environment("poe/Grok-4") == missing
    there = {"keys_in_environment": True, "missing_keys": []}
    assert quoth.validate_environment("poe/Grok-4", api_key="k") == there
    monkeypatch.setenv("POE_API_KEY", "k")
    assert quoth.validate_environment("poe/Grok-4") == there
    assert quoth.validate_environment("vllm/m") == there
    assert quoth.validate_environment() == {"keys_in_environment": False, "missing_keys": []}


def test_parameters_of_a_model() -> None:
    poe = quoth.get_supported_openai_params("poe/Grok-4")
    assert {"tools", "tool_choice", "temperature", "response_format", "reasoning_effort"} <= set(poe)
    assert poe == sorted(poe)
    assert not {"model", "messages"} & set(poe)
    assert "logit_bias" not in quoth.get_supported_openai_params("groq/llama-3.3-70b-versatile")
    with pytest.raises(quoth.BadRequestError):
        quoth.get_supported_openai_params("poe/Grok-4", request_type="embeddings")


def test_tokens_are_estimated_and_it_says_so() -> None:
    count = quoth.token_counter("poe/Grok-4", text=LOREM)
    assert not count.exact
    assert repr(count) == f"about {int(count)}"
    assert 28 <= count <= 42
    assert quoth.token_counter(text="") == 0
    assert quoth.token_counter(text=[LOREM, LOREM]) == 2 * count


def test_tokens_of_a_conversation() -> None:
    messages = [{"role": "user", "content": LOREM}]
    text = quoth.token_counter(text=LOREM)
    whole = quoth.token_counter(messages=messages)
    assert text < whole < text + 12
    assert quoth.token_counter(messages=messages, count_response_tokens=True) == text
    tools = [{"type": "function", "function": {"name": "get_weather", "description": "The weather at a place."}}]
    assert quoth.token_counter(messages=messages, tools=tools) > whole
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert quoth.token_counter(messages=[{"role": "user", "content": [picture]}]) > 200


def test_tokens_want_either_text_or_messages() -> None:
    with pytest.raises(quoth.BadRequestError):
        quoth.token_counter("poe/Grok-4")
    with pytest.raises(quoth.BadRequestError):
        quoth.token_counter("poe/Grok-4", text="a", messages=[{"role": "user", "content": "a"}])


def test_estimate_agrees_with_the_emulators_own_within_reason(emulator: Emulator) -> None:
    usage = quoth.completion("poe/Grok-4", [{"role": "user", "content": LOREM}]).usage
    assert usage is not None
    assert 0.6 < quoth.token_counter(text=LOREM) / (usage.prompt_tokens or 1) < 1.6


def test_without_a_vocabulary_in_the_cache_nothing_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is downloaded: the folder stays empty."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert not quoth.token_counter("openai/gpt-5.2", text=LOREM).exact
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_vocabulary_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken would delete it and download it again."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    half = tmp_path / tokens.cache_name("o200k_base")
    half.write_bytes(b"IQ== 0\n")
    assert not quoth.token_counter("openai/gpt-5.2", text=LOREM).exact
    assert half.read_bytes() == b"IQ== 0\n"


def test_without_a_cache_nothing_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert not quoth.token_counter("openai/gpt-5.2", text=LOREM).exact


def test_with_a_vocabulary_in_the_cache_the_count_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small but real vocabulary, where tiktoken keeps those that it has read: each byte is a token, and "the" is."""
    import tiktoken.registry

    ranks = {bytes([byte]): byte for byte in range(256)} | {b"th": 256, b"the": 257}
    small = tiktoken.Encoding("o200k_base", pat_str=r"\w+|\W", mergeable_ranks=ranks, special_tokens={})
    file = b"".join(base64.b64encode(token) + f" {rank}\n".encode() for token, rank in ranks.items())
    (tmp_path / tokens.cache_name("o200k_base")).write_bytes(file)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(tokens.VOCABULARIES, "o200k_base", hashlib.sha256(file).hexdigest())
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "o200k_base", small)
    count = quoth.token_counter("openai/gpt-5.2", text="the theme")
    assert (int(count), count.exact, repr(count)) == (5, True, "5")
    assert not quoth.token_counter("poe/Claude-Sonnet-4.6", text="the theme").exact, "it is not Claude's vocabulary"
    assert quoth.token_counter("poe/GPT-5.2", text="the theme").exact
    tools = [{"type": "function", "function": {"name": "f"}}]
    messages = [{"role": "user", "content": "the"}]
    assert not quoth.token_counter("gpt-5.2", messages=messages, tools=tools).exact, (
        "how tools are written is not known"
    )
