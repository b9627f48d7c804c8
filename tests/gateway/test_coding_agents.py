"""The requests of Claude Code and of Codex, in their shapes, against the gateway with Poe behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quoth.emulator import Emulator
from tests.gateway.serving import KEY, Serving
from tests.gateway.test_wires import events

Json = dict[str, Any]

LONG = "You are an agent that edits code. Follow these rules to the letter. " * 40
FILE_TOOL: Json = {
    "name": "Edit",
    "description": "Replace a text in a file. " * 30,
    "input_schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "file_path": {"type": "string", "description": "An absolute path"},
            "old_string": {"type": "string"},
            "new_string": {"type": "string"},
            "replace_all": {"type": "boolean", "default": False},
        },
        "required": ["file_path", "old_string", "new_string"],
        "additionalProperties": False,
    },
}
MARK = {"cache_control": {"type": "ephemeral"}}
CLAUDE_HEADERS = {
    "authorization": f"Bearer {KEY}",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
    "user-agent": "claude-cli/2.0.0 (external, cli)",
    "accept": "application/json",
}


def claude_code(model: str, **more: Any) -> Json:
    return {
        "model": model,
        "max_tokens": 32000,
        "stream": True,
        "system": [
            {"type": "text", "text": "You are an agent for code.", **MARK},
            {"type": "text", "text": LONG, **MARK},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"},
                    {"type": "text", "text": "What is the capital of France?", **MARK},
                ],
            }
        ],
        "tools": [FILE_TOOL],
        "metadata": {"user_id": "user_0123_account__session_4567"},
        "thinking": {"type": "enabled", "budget_tokens": 16000},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        **more,
    }


APPLY_PATCH: Json = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'},
}


def codex(model: str, **more: Any) -> Json:
    return {
        "model": model,
        "instructions": LONG,
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<cwd>/tmp</cwd>"}]},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "What is the capital of France?"}],
            },
        ],
        "tools": [
            {
                "type": "function",
                "name": "shell",
                "description": "Runs a command.",
                "strict": False,
                "parameters": {
                    "type": "object",
                    "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                    "required": ["command"],
                    "additionalProperties": False,
                },
            },
            APPLY_PATCH,
            {"type": "web_search"},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199-session",
        "text": {"verbosity": "medium"},
        **more,
    }


@pytest.fixture(scope="module")
def poe() -> Iterator[Emulator]:
    with Emulator(token_delay=0) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def gateway(poe: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    models = [
        {"model_name": "claude-*", "litellm_params": {"model": "poe/claude-*"}},
        {"model_name": "*", "litellm_params": {"model": "poe/*", "num_retries": 0}},
    ]
    environment = {"POE_API_KEY": "emulated", "POE_API_BASE": poe.base_url}
    with Serving(folder, models=models, environment=environment, quoth={"pacing": {"rpm": 1_000_000}}) as serving:
        yield serving


@pytest.fixture(autouse=True)
def fresh(poe: Emulator) -> None:
    poe.clear()


def said(found: Any) -> str:
    texts = []
    for event in events(found):
        if event["type"] == "content_block_delta":
            texts.append(event["delta"].get("text", ""))
        elif event["type"] == "response.output_text.delta":
            texts.append(event["delta"])
    return "".join(texts)


def of_claude_code(gateway: Serving, path: str, body: Json) -> Any:
    return gateway.ask("POST", path, body, CLAUDE_HEADERS)


@pytest.mark.parametrize("model", ["claude-sonnet-4.5", "GPT-5.4", "Grok-4", "Gemini-3.1-Pro"])
def test_claude_code_talks(gateway: Serving, poe: Emulator, model: str) -> None:
    found = of_claude_code(gateway, "/v1/messages?beta=true", claude_code(model))
    assert found.status == 200, found.body
    kinds = [event["type"] for event in events(found)]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert "capital of France is Paris" in said(found)
    assert "request-id" in found.headers
    sent = poe.requests[-1]
    assert isinstance(sent.body, dict)
    if model.startswith("claude"):
        assert sent.path == "/v1/messages"
        assert sent.body["system"] == claude_code(model)["system"]
        assert sent.body["messages"] == claude_code(model)["messages"]
        assert sent.body["tools"] == [FILE_TOOL]
        assert sent.body["thinking"]["budget_tokens"] == 16000
        assert "context_management" not in sent.body
        assert "beta_field_removed" in found.headers["x-quoth-warnings"]
    assert "anthropic-beta" not in sent.headers


def test_claude_codes_turn_with_tools_and_thoughts_goes_on(gateway: Serving, poe: Emulator) -> None:
    asked = claude_code("claude-sonnet-4.5", stream=False, tool_choice={"type": "auto"})
    asked["messages"][0]["content"][1]["text"] = "Use Edit to change a to b in /tmp/x."
    first = of_claude_code(gateway, "/v1/messages?beta=true", asked)
    assert first.status == 200, first.body
    call = next(block for block in first.json["content"] if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "done", "is_error": False, **MARK}
    asked["messages"] += [
        {"role": "assistant", "content": first.json["content"]},
        {"role": "user", "content": [result, {"type": "text", "text": "<system-reminder>Go on.</system-reminder>"}]},
    ]
    second = of_claude_code(gateway, "/v1/messages?beta=true", asked)
    assert second.status == 200, second.body
    sent = poe.requests[-1].body
    assert isinstance(sent, dict)
    assert sent["messages"] == asked["messages"]


@pytest.mark.parametrize("model", ["claude-sonnet-4.5", "GPT-5.4", "Grok-4"])
def test_claude_codes_marks_of_a_beta_are_marks_all_the_same(gateway: Serving, poe: Emulator, model: str) -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}
    use = {"type": "tool_use", "id": "t1", "name": FILE_TOOL["name"], "input": {"scope": "all"}}
    shown = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "ok", **mark}], **mark}
    asked = claude_code(
        model,
        thinking={"type": "disabled"},
        system=[{"type": "text", "text": LONG, **mark}],
        tools=[FILE_TOOL | mark],
        messages=[
            {"role": "user", "content": "What is the capital of France?"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [shown]},
        ],
    )
    found = of_claude_code(gateway, "/v1/messages?beta=true", asked)
    assert found.status == 200, found.body
    if model == "claude-sonnet-4.5":
        document = poe.requests[-1].body
        assert isinstance(document, dict)
        plain = {"type": "ephemeral", "ttl": "1h"}
        result = document["messages"][-1]["content"][0]
        marks = [one["cache_control"] for one in (document["system"][-1], document["tools"][-1], result)]
        assert [*marks, result["content"][0]["cache_control"]] == [plain] * 4
        assert document["messages"][-2]["content"][0]["input"] == {"scope": "all"}


@pytest.mark.parametrize("model", ["claude-sonnet-4.6", "GPT-5.4", "Grok-4"])
def test_claude_codes_turns_of_the_system(gateway: Serving, poe: Emulator, model: str) -> None:
    """It sends them to a model whose name it does not know, such as one of the settings."""
    asked = claude_code(model, thinking={"type": "adaptive"})
    asked["messages"][0]["content"][1]["text"] = "Use Edit with file_path=/tmp/x."
    asked["messages"].append({"role": "system", "content": "There are agents: a, b."})
    found = of_claude_code(gateway, "/v1/messages?beta=true", asked)
    assert found.status == 200, found.body
    assert '"tool_use"' in next(json.dumps(event) for event in events(found) if event["type"] == "message_delta")
    assert "There are agents: a, b." in json.dumps(poe.requests[-1].body)
    if model.startswith("claude"):
        assert "system_turns_as_reminders" in found.headers["x-quoth-warnings"]
        sent = poe.requests[-1].body
        assert isinstance(sent, dict)
        (turn,) = sent["messages"]
        assert turn["content"][:2] == asked["messages"][0]["content"]
        assert turn["content"][2]["text"] == "<system-reminder>\nThere are agents: a, b.\n</system-reminder>"


def test_claude_codes_probes(gateway: Serving, poe: Emulator) -> None:
    asked = claude_code("claude-sonnet-4.5")
    del asked["stream"], asked["max_tokens"]
    counted = of_claude_code(gateway, "/v1/messages/count_tokens?beta=true", asked)
    assert counted.status == 200, counted.body
    assert counted.json["input_tokens"] > 500
    assert counted.headers["x-quoth-warnings"] == "estimated"
    quota = of_claude_code(
        gateway,
        "/v1/messages?beta=true",
        {"model": "claude-haiku-4.5", "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]},
    )
    assert quota.status == 200
    assert gateway.ask("HEAD", "/").status == 200
    assert gateway.get("/v1/models?limit=1000").status == 200


@pytest.mark.parametrize("model", ["GPT-5.4", "claude-sonnet-4.5", "Grok-4", "Gemini-3.1-Pro"])
def test_codex_talks(gateway: Serving, poe: Emulator, model: str) -> None:
    asked = codex(model)
    if model == "Grok-4":
        # It has no search of its own, and a tool is never left out; Codex is told so in its settings.
        refused = gateway.ask("POST", "/v1/responses", asked)
        assert (refused.status, refused.error["param"]) == (400, "web_search")
        asked["tools"].pop()
    found = gateway.ask("POST", "/v1/responses", asked, {"accept": "text/event-stream", "session_id": "0199"})
    assert found.status == 200, found.body
    told = events(found)
    assert (told[0]["type"], told[-1]["type"]) == ("response.created", "response.completed")
    assert "capital of France is Paris" in said(found)
    assert told[-1]["response"]["usage"]["total_tokens"] > 0
    assert all(event["event"] == event["type"] for event in told)
    sent = poe.requests[-1].body
    assert isinstance(sent, dict)
    assert "instructions" not in sent
    assert LONG.strip() in json.dumps(sent)
    if model == "GPT-5.4":
        assert sent["tools"] == codex(model)["tools"]
        assert sent["prompt_cache_key"] == "0199-session"
        assert sent["include"] == ["reasoning.encrypted_content"]
        assert sent["input"][1:] == codex(model)["input"]


@pytest.mark.parametrize("model", ["GPT-5.4", "Grok-4"])
def test_codex_patches(gateway: Serving, poe: Emulator, model: str) -> None:
    """A tool of free text comes back as one, also where it was a function on the way."""
    asked = codex(model, tool_choice={"type": "custom", "name": "apply_patch"})
    asked["input"][-1]["content"][0]["text"] = "Use apply_patch."
    asked["tools"] = [APPLY_PATCH]
    found = gateway.ask("POST", "/v1/responses", asked)
    assert found.status == 200, found.body
    items = [event["item"] for event in events(found) if event["type"] == "response.output_item.done"]
    call = next(item for item in items if item["type"] == "custom_tool_call")
    assert call["name"] == "apply_patch"
    assert isinstance(call["input"], str)
    asked["input"] += [*items, {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "Done."}]
    asked["tool_choice"] = "auto"
    again = gateway.ask("POST", "/v1/responses", asked)
    assert again.status == 200, again.body
    assert events(again)[-1]["type"] == "response.completed"


SPACE: Json = {
    "type": "namespace",
    "name": "multi_agent_v1",
    "description": "Tools for agents.",
    "tools": [
        {
            "type": "function",
            "name": "close_agent",
            "description": "Closes an agent.",
            "strict": False,
            "parameters": {"type": "object", "properties": {"target": {"type": "string"}}, "required": ["target"]},
        }
    ],
}


@pytest.mark.parametrize("model", ["GPT-5.4", "claude-sonnet-4.5", "Grok-4", "Gemini-3.1-Pro"])
def test_codexs_tools_in_a_namespace(gateway: Serving, poe: Emulator, model: str) -> None:
    """They come back in it, also where it was a part of the name on the way."""
    asked = codex(model, tools=[*codex(model)["tools"][:1], SPACE], client_metadata={"session_id": "0199"})
    asked["input"][-1]["content"][0]["text"] = "Use close_agent with target=x1"
    asked["tool_choice"] = {"type": "function", "name": "close_agent", "namespace": "multi_agent_v1"}
    found = gateway.ask("POST", "/v1/responses", asked)
    assert found.status == 200, found.body
    items = [event["item"] for event in events(found) if event["type"] == "response.output_item.done"]
    call = next(item for item in items if item["type"] == "function_call")
    assert (call["name"], call["namespace"]) == ("close_agent", "multi_agent_v1")
    assert json.loads(call["arguments"]) == {"target": "x1"}
    asked["input"] += [*items, {"type": "function_call_output", "call_id": call["call_id"], "output": "Closed."}]
    asked["tool_choice"] = "auto"
    again = gateway.ask("POST", "/v1/responses", asked)
    assert again.status == 200, again.body
    assert "Closed." in said(again)
    sent = poe.requests[-1].body
    assert isinstance(sent, dict)
    assert "client_metadata" not in sent
    if "messages" in sent:
        (made,) = next(turn["tool_calls"] for turn in sent["messages"] if turn.get("tool_calls"))
        assert sent["tools"][1]["function"]["name"] == made["function"]["name"] == "multi_agent_v1__close_agent"


def test_a_tool_that_cannot_be_told_is_refused(gateway: Serving) -> None:
    asked = codex("Grok-4", tools=[{"type": "local_shell"}])
    found = gateway.ask("POST", "/v1/responses", asked)
    assert found.status == 400
    assert found.error["param"] == "tools[0]"
    assert "never left out" in found.error["message"]
