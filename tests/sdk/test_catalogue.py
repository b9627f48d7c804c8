"""Questions about models: filters, LiteLLM's names, refreshes that are asked for, copies that survive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import quoth
from quoth.emulator import Emulator
from quoth.providers.catalogue import Catalogue, Source, from_bytes, shipped, to_bytes
from quoth.sdk import catalogue as questions
from quoth.sdk.shelf import SHELF, cache_directory
from tests.faultserver import FaultServer
from tests.faultserver.answers import answer as reply

FLAGS = [name for name in quoth.__all__ if name.startswith("supports_")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache directory of the test's own, not yet made, and a process that has fetched nothing."""
    monkeypatch.setenv("QUOTH_CACHE_DIR", str(tmp_path / "cache"))
    SHELF.forget()
    questions._given.clear()
    yield tmp_path / "cache"
    SHELF.forget()
    questions._given.clear()


def paths(emulator: Emulator) -> list[str]:
    return [request.path for request in emulator.requests]


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        ({"output": "image"}, lambda model: "image" in model.output_modalities),
        ({"input": ["image", "video"]}, lambda model: {"image", "video"} <= set(model.input_modalities)),
        ({"search": "CLAUDE opus"}, lambda model: "claude-opus" in model.id),
        ({"owner": "anthropic"}, lambda model: model.owned_by == "Anthropic"),
        ({"supports": "tools"}, lambda model: "tools" in model.supported_features),
        ({"supports": ["web_search", "tools"]}, lambda model: model.supports("web_search") and model.supports("tools")),
        ({"supports": "reasoning"}, lambda model: model.supports("reasoning")),
        (
            {"output": "text", "max_price": 0.1},
            lambda model: model.is_free or model.price["prompt"] * 1_000_000 <= Decimal("0.1"),
        ),
        ({"output": "image", "max_price": 0.02}, lambda model: model.price["request"] <= Decimal("0.02")),
    ],
)
def test_filters(wanted: dict[str, Any], holds: Any) -> None:
    found = quoth.models(**wanted)
    assert 0 < len(found) < len(shipped())
    assert all(map(holds, found))


def test_everything_known_of_a_model() -> None:
    (model,) = quoth.models(search="claude-opus-4.6")
    assert (model.name, model.owned_by, model.context_window) == ("poe/claude-opus-4.6", "Anthropic", 983_040)
    assert model.price is not None
    assert model.price["prompt"] == Decimal("0.0000043")
    assert (model.source.date, model.corrections, model.status) == ("2026-04-01", (), None)
    assert quoth.models(search="gpt-4o-search")[0].supports("tools") is False
    assert quoth.models(search="gpt-4o-search", corrections=False)[0].supports("tools") is True


def test_corrections_are_switched_off_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOTH_DISABLE_CORRECTIONS", "answers_chat, no_tools")
    assert quoth.supports_function_calling("poe/gpt-4o-search")
    monkeypatch.delenv("QUOTH_DISABLE_CORRECTIONS")
    assert not quoth.supports_function_calling("poe/gpt-4o-search")


def test_model_info_has_litellms_keys() -> None:
    info = quoth.get_model_info("poe/Claude-Opus-4.6")
    assert info["litellm_provider"] == "poe"
    assert info["mode"] == "chat"
    assert (info["max_input_tokens"], info["max_output_tokens"], info["max_tokens"]) == (983_040, 128_000, 128_000)
    assert (info["input_cost_per_token"], info["output_cost_per_token"]) == (4.3e-6, 2.1e-5)
    assert set(FLAGS) <= set(info)
    assert quoth.get_max_tokens("Claude-Opus-4.6") == 128_000
    assert quoth.get_max_tokens("poe/veo-3.1") is None
    assert quoth.get_model_info("poe/veo-3.1")["mode"] == "video_generation"
    with pytest.raises(quoth.NotFoundError, match="did you mean poe/claude-opus-4"):
        quoth.get_model_info("poe/calude-opus-4.6")


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("model", ["poe/nobody", "zork/zork", "", "groq/llama", None])
def test_what_is_unknown_is_not_supported_and_raises_nothing(flag: str, model: Any) -> None:
    assert getattr(quoth, flag)(model) is False


def test_what_is_supported() -> None:
    assert quoth.supports_vision("poe/Claude-Opus-4.6")
    assert quoth.supports_reasoning(model="Claude-Opus-4.6", custom_llm_provider="poe")
    assert quoth.supports_prompt_caching("poe/Claude-Opus-4.6")
    assert quoth.supports_response_schema("poe/grok-4")
    assert not quoth.supports_response_schema("poe/Claude-Opus-4.6")
    assert quoth.supports_audio_output("poe/minimax-speech-2.8")


def test_a_registered_model_is_known_and_priced(emulator: Emulator) -> None:
    quoth.register_model(
        {
            "poe/My-Bot": {
                "max_tokens": 500,
                "max_input_tokens": 8000,
                "input_cost_per_token": 1e-6,
                "output_cost_per_token": "0.000004",
                "supports_function_calling": True,
                "supports_pdf_input": True,
            },
            "groq/llama-x": {"max_tokens": 9, "supports_vision": True},
        }
    )
    assert quoth.supports_function_calling("poe/my-bot")
    assert quoth.supports_pdf_input("poe/My-Bot")
    assert quoth.get_max_tokens("poe/my-bot") == 500
    assert quoth.supports_vision("groq/llama-x")
    assert "poe/my-bot" in quoth.get_valid_models()
    quoth.register_model({"poe/Grok-4": {"input_cost_per_token": 1, "output_cost_per_token": 0}})
    response = quoth.completion(model="poe/Grok-4", messages=[{"role": "user", "content": "Hi"}])
    assert response.usage is not None
    assert response.cost.usd == response.usage.prompt_tokens
    assert quoth.get_model_info("poe/grok-4")["max_input_tokens"] == 256_000


@pytest.mark.parametrize(
    "entry",
    [{"max_tokens": 0}, {"max_tokens": "many"}, {"input_cost_per_token": -1}, {"supports_vision": "yes"}, []],
)
def test_what_cannot_be_registered(entry: Any) -> None:
    with pytest.raises(quoth.BadRequestError):
        quoth.register_model({"poe/My-Bot": entry})
    with pytest.raises(quoth.NotFoundError):
        quoth.get_model_info("poe/My-Bot")


def test_nothing_is_fetched_or_written_unasked(emulator: Emulator, cache: Path) -> None:
    quoth.models()
    quoth.completion(model="poe/Grok-4", messages=[{"role": "user", "content": "Hi"}])
    assert paths(emulator) == ["/v1/chat/completions"]
    assert not cache.exists()


def test_a_refresh_fetches_keeps_and_is_used(emulator: Emulator, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POE_API_KEY")
    model = quoth.models(refresh=True, search="claude-opus-4.6")[0]
    assert model.source.fetched is not None
    assert model.source.date == datetime.now(UTC).date().isoformat()
    assert paths(emulator) == ["/v1/models"]
    (copy,) = cache.iterdir()
    assert len(from_bytes(copy.read_bytes())) == len(shipped())
    SHELF.forget()
    assert quoth.models(search="claude-opus-4.6")[0] == model, "another process reads the copy"
    assert paths(emulator) == ["/v1/models"]
    monkeypatch.setenv("POE_API_BASE", "https://api.poe.com/v1")
    assert quoth.models(search="claude-opus-4.6")[0].source.fetched is None, "one host's list says nothing of another's"


def test_asyncio_has_its_own_forms(emulator: Emulator, cache: Path) -> None:
    async def run() -> None:
        assert await quoth.amodels(output="image", max_price=0.02) == quoth.models(output="image", max_price=0.02)
        assert paths(emulator) == []
        async with asyncio.TaskGroup() as group:
            fetched = group.create_task(quoth.amodels(refresh=True, search="claude-opus-4.6"))
            # The loop goes on: the list has not come yet.
            await asyncio.sleep(0)
            assert not fetched.done()
        assert fetched.result()[0].source.fetched is not None
        assert len(await quoth.amodels(provider="poe")) == len(quoth.models())
        assert await quoth.aget_valid_models(True, "poe") == quoth.get_valid_models(custom_llm_provider="poe")
        with pytest.raises(quoth.QuothError):
            await quoth.aget_valid_models(custom_llm_provider="nobody")

    asyncio.run(run())
    assert paths(emulator) == ["/v1/models"] * 2


def test_a_fresh_list_refuses_a_value_before_sending(emulator: Emulator) -> None:
    quoth.models(refresh=True)
    with pytest.raises(quoth.BadRequestError, match="declares duration as one of 4, 6, 8"):
        quoth.completion(model="poe/Veo-3.1", messages=[{"role": "user", "content": "Hi"}], duration=5)
    assert paths(emulator) == ["/v1/models"]


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"data": []}', b'{"data": [{"id": "only-one"}]}', b'{"data": [{"id": ', b"<html>"]
)
def test_a_broken_or_half_list_replaces_nothing(
    answer: bytes, server: FaultServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"{server.url}/v1"
    monkeypatch.setenv("POE_API_BASE", base)
    good = Catalogue(shipped(), [Source("GET", "2026-11-01", 1.0), *shipped().sources[1:]])
    SHELF.put(base, good)
    before = sorted((path.name, path.read_bytes()) for path in cache.iterdir())
    server.play(reply(answer))
    with pytest.raises(quoth.QuothError):
        quoth.models(refresh=True)
    assert sorted((path.name, path.read_bytes()) for path in cache.iterdir()) == before
    assert quoth.models()[0].source.date == "2026-11-01"


def test_a_broken_copy_gives_way_to_the_last_good_one(emulator: Emulator, cache: Path) -> None:
    quoth.models(refresh=True)
    (copy,) = cache.iterdir()
    day = datetime.now(UTC).date().isoformat()
    good = Catalogue(shipped(), [Source("GET", "2026-01-01", 1.0), *shipped().sources[1:]])
    (cache / copy.name.replace(day, "2026-01-01")).write_bytes(to_bytes(good))
    copy.write_bytes(copy.read_bytes()[:1000])
    SHELF.forget()
    assert quoth.models(search="claude-opus-4.6")[0].source.date == "2026-01-01"


def test_only_thirty_copies_are_kept(emulator: Emulator, cache: Path) -> None:
    quoth.models(refresh=True)
    (copy,) = cache.iterdir()
    day = datetime.now(UTC).date().isoformat()
    for number in range(1, 32):
        (cache / copy.name.replace(day, f"2020-01-{number:02}")).write_bytes(b"")
    (cache / "mine.json").write_bytes(b"")
    quoth.models(refresh=True)
    kept = {path.name for path in cache.iterdir()}
    assert copy.name in kept
    assert "mine.json" in kept
    assert len(kept) == 31


def test_a_cache_that_cannot_be_written_is_a_warning(emulator: Emulator, cache: Path) -> None:
    cache.write_bytes(b"a file stands where the directory would be")
    with quoth.Client(provider="poe", catalogue_ttl=60) as client:
        response = client.completion("Grok-4", [{"role": "user", "content": "Hi"}])
    assert [warning.code for warning in response.warnings] == ["catalogue_not_kept"]
    assert quoth.models()[0].source.fetched is not None


def test_a_client_fetches_the_list_when_it_is_old(emulator: Emulator, cache: Path) -> None:
    question = [{"role": "user", "content": "Hi"}]
    with quoth.Client(provider="poe", catalogue_ttl=3600) as client:
        client.completion("Grok-4", question)
        client.completion("Grok-4", question)
        client.completion("Grok-4", question, mock_response="no call, no list")
    assert paths(emulator) == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]

    async def ask() -> None:
        async with quoth.AsyncClient(provider="poe", catalogue_ttl=0) as client:
            await client.acompletion("Grok-4", question)

    asyncio.run(ask())
    assert paths(emulator)[3:] == ["/v1/models", "/v1/chat/completions"]


def test_a_list_that_cannot_be_fetched_keeps_the_old_one_with_a_warning(emulator: Emulator) -> None:
    emulator.faults("status=500; on=/v1/models; times=1", "ok")
    question = [{"role": "user", "content": "Hi"}]
    with quoth.Client(provider="poe", catalogue_ttl=3600) as client:
        first = client.completion("Grok-4", question)
        second = client.completion("Grok-4", question)
    assert [warning.code for warning in first.warnings] == ["catalogue_not_refreshed"]
    assert second.warnings == []


@pytest.mark.parametrize("ttl", [-1, True, "day", float("inf")])
def test_a_ttl_that_is_none(ttl: Any) -> None:
    with pytest.raises(quoth.BadRequestError, match="catalogue_ttl"):
        quoth.Client(catalogue_ttl=ttl)


@pytest.mark.parametrize(
    ("platform", "variables", "end"),
    [
        ("linux", {}, ".cache/quoth"),
        ("linux", {"XDG_CACHE_HOME": "/var/tmp/c"}, "/var/tmp/c/quoth"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache/quoth"),
        ("darwin", {}, "Library/Caches/quoth"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/quoth/Cache"),
        ("win32", {"QUOTH_CACHE_DIR": "/mine", "LOCALAPPDATA": "/local"}, "/mine"),
    ],
)
def test_where_copies_are_kept(platform: str, variables: dict[str, str], end: str) -> None:
    assert cache_directory(variables, platform).as_posix().endswith(end)


def test_another_providers_list_is_fetched(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_BASE", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "emulated-key")
    found = quoth.models(provider="openrouter", search="claude-opus-4.6")
    assert [(model.name, model.supports("tools")) for model in found] == [("openrouter/claude-opus-4.6", True)]
    assert "openrouter/claude-opus-4.6" in quoth.get_valid_models(check_provider_endpoint=True)
    assert msgspec.to_builtins(found[0].source)["name"] == "GET /models of openrouter"
