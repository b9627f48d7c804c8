"""What happens to each parameter, found out by asking: one real call for each to a server that keeps what it gets.

Run, it prints the tables; `python -m tests.docs.generated` writes them into docs/parameters.md.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quoth import Client, QuothError
from quoth.providers.controls import CONTROLS, INERT
from quoth.providers.params import OPENAI_PARAMS
from quoth.providers.rows import packaged_names

__all__ = ["controls", "differences", "poe", "probes"]

MESSAGES = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
PLAIN = "custom_openai/some-model"
POE_MODELS = ("poe/claude-sonnet-4.6", "poe/gpt-5.4", "poe/gemini-2.5-pro", "poe/veo-3.1", "poe/some-private-bot")

# A value for every parameter, and what has to be given beside it.
SAMPLES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "function_call": "auto",
    "functions": [{"name": "now", "parameters": {}}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 100,
    "max_tokens": 100,
    "messages": MESSAGES,
    "metadata": {"team": "blue"},
    "modalities": ["text"],
    "model": "",
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "Hi"},
    "presence_penalty": 0.5,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "reasoning_effort": "high",
    "response_format": {"type": "json_object"},
    "safety_identifier": "u1",
    "seed": 7,
    "service_tier": "auto",
    "stop": ["END"],
    "store": False,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tool_choice": "auto",
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.9,
    "user": "u1",
    "verbosity": "low",
    "web_search_options": {},
}
BESIDE: dict[str, dict[str, Any]] = {"tool_choice": {"tools": [TOOL]}, "stream_options": {"stream": True}}
CUSTOM: dict[str, Any] = {
    "web_search": True,
    "duration": 8,
    "thinking_budget": 2048,
    "my_own": 1,
    "extra_body": {"my_own": 1},
}
CONTROL_SAMPLES: dict[str, Any] = {
    "additional_drop_params": ["user"],
    "allowed_openai_params": ["user"],
    "client": Client(),
    "context_window_fallback_dict": {"a/b": "c/d"},
    "custom_llm_provider": "custom_openai",
    "disable_quirks": ["join_text_parts"],
    "drop_params": True,
    "extra_headers": {"x-team": "blue"},
    "extra_query": {"team": "blue"},
    "fallbacks": ["custom_openai/other"],
    "headers": {"x-team": "blue"},
    "max_retries": 1,
    "num_retries": 1,
    "request_timeout": 30,
    "strict": False,
    "stream_timeout": 30,
    "timeout": 30,
    "wire": "openai_chat",
}
_WHERE = frozenset({"api_base", "api_key", "base_url"})  # every probe uses them, or it would not reach the recorder


@dataclass
class Recorder:
    """A server that answers every call and keeps the bodies."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def take(self) -> list[dict[str, Any]]:
        taken, self.bodies = self.bodies, []
        return taken


@contextmanager
def recorder() -> Iterator[Recorder]:
    kept = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = (
            -1
        )  # head and body in one write, or Nagle's algorithm and delayed acknowledgements wait for each other

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            kept.bodies.append(body)
            streamed = bool(body.get("stream"))
            said = {"role": "assistant", "content": "Hi"}
            choice = {"index": 0, "delta" if streamed else "message": said, "finish_reason": "stop"}
            answer = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "choices": [choice]})
            data = f"data: {answer}\n\ndata: [DONE]\n\n" if streamed else answer
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if streamed else "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield kept
        finally:
            server.shutdown()


class Probe:
    """Calls one model with one parameter at a time."""

    def __init__(self, client: Client, server: Recorder, model: str):
        self._client, self._server, self._model = client, server, model

    def ask(self, name: str, value: Any, **beside: Any) -> str:
        """What became of the parameter, in the words of the table."""
        base, known = self._call(beside)
        if isinstance(base, QuothError):
            return f"not to be had: {type(base).__name__}"
        bodies, codes = self._call({**beside, name: value})
        if isinstance(bodies, QuothError):
            return f"refused: {type(bodies).__name__}"
        said = self._words(name, value, base[0], bodies)
        return "; ".join([said, *(f"`{code}`" for code in codes if code not in known)])

    def _words(self, name: str, value: Any, base: Mapping[str, Any], bodies: list[dict[str, Any]]) -> str:
        body = bodies[0]
        new = {key: item for key, item in body.items() if key not in base or base[key] != item}
        if len(bodies) > 1:
            return f"{len(bodies)} calls"
        if name in body and (body[name] == value or name == "model"):
            more = sorted(set(new) - {name})
            return "sent" + "".join(f", and `{key}`" for key in more)
        if not new:
            return "does not travel"
        return "sent as " + ", ".join(f"`{key}: {json.dumps(item)}`" for key, item in new.items())

    def _call(self, keywords: Mapping[str, Any]) -> tuple[Any, list[str]]:
        given = {"messages": MESSAGES, "wire": "openai_chat", **keywords, "model": self._model}
        where = {"api_base": self._server.url, "api_key": "probe"}
        self._server.take()
        try:
            complete: Any = self._client.completion
            answer = complete(**given, **where)
            if given.get("stream"):
                list(answer)
        except QuothError as error:
            return error, []
        return self._server.take(), [warning.code for warning in answer.warnings]


@contextmanager
def probes() -> Iterator[Any]:
    """A function that makes a Probe for a model."""
    with Client() as client, recorder() as server:
        yield lambda model: Probe(client, server, model)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _asked(probe: Probe, names: Mapping[str, Any]) -> list[str]:
    return [probe.ask(name, value, **BESIDE.get(name, {})) for name, value in names.items()]


def poe() -> str:
    """Every parameter of OpenAI's, and some of the models' own, for several kinds of Poe models and for a plain row."""
    names = {name: SAMPLES[name] for name in sorted(OPENAI_PARAMS)} | CUSTOM
    models = [PLAIN, *POE_MODELS]
    with probes() as probe:
        columns = [_asked(probe(model), names) for model in models]
    values = [f"`{name}`" if name not in CUSTOM else f"`{name}={json.dumps(value)}`" for name, value in names.items()]
    return _table(
        ["parameter", *(f"`{model}`" for model in models)], [list(row) for row in zip(values, *columns, strict=True)]
    )


def differences() -> str:
    """What each row does otherwise than a plain one; Poe has a table of its own."""
    names = {name: SAMPLES[name] for name in sorted(OPENAI_PARAMS)}
    rows: list[list[str]] = []
    with probes() as probe:
        plain = _asked(probe(PLAIN), names)
        for provider in packaged_names():
            if provider == "poe":
                continue
            found: dict[str, list[str]] = {}
            for name, usual, here in zip(names, plain, _asked(probe(f"{provider}/some-model"), names), strict=True):
                if here != usual:
                    found.setdefault(here, []).append(f"`{name}`")
            rows += [[f"`{provider}`", ", ".join(params), words] for words, params in found.items()]
    return _table(["provider", "parameters", "what happens"], rows)


def controls() -> str:
    """The keywords that steer a call, each seen not to be in the body."""
    found: dict[str, list[str]] = {}
    with probes() as probe:
        plain = probe(PLAIN)
        for name in sorted(CONTROLS.keys() - _WHERE):
            words = "nobody is called" if name.startswith("mock_") else plain.ask(name, CONTROL_SAMPLES[name])
            found.setdefault(words, []).append(f"`{name}`")
        for name in sorted(INERT):
            found.setdefault(plain.ask(name, "x"), []).append(f"`{name}`")
    found["does not travel"] += [f"`{name}`" for name in _WHERE]
    return _table(["what happens", "keywords"], [[words, ", ".join(sorted(names))] for words, names in found.items()])


if __name__ == "__main__":
    for table in (poe, differences, controls):
        print(table(), end="\n\n")
