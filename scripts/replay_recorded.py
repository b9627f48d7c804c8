"""Give recorded exchanges to the SDK and to the gateway as if upstream: `python scripts/replay_recorded.py DIR`.

Every recorded exchange in DIR (JSON files with endpoint, request, status, headers, body: chat completions, Responses,
Messages) is served by a local server, and asked for with `Client` and with `AsyncClient`, in the shape of its own API.
The answer has to be a typed result that keeps every recorded fact, fields that nobody has heard of included; a refusal
has to be a typed error with status and body as recorded. What the server received has to be what was recorded, save for
what a warning tells of. Then the answer is told to a client of each other API, whole and as a stream, and read back:
text, tools, reasoning and usage have to be the same.

A gateway that is started as its users start it is asked too. On the exchange's own wire its answer has to be the
recorded body, unknown fields included, but for the name of the model in chat; from each other surface, whole and as a
stream, text, tools, reasoning and usage have to be the same, and a refusal has to say what the recorded one says.
Prints a table, exits 1 on any difference.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from quoth import AsyncClient, Client, Completion, QuothError
from quoth.wire.assemble import assemble
from quoth.wire.openai_chat import Done, as_chunk
from quoth.wire.sse import SSEDecoder
from quoth.wire.wires import NAMES, wire_named

WIRES = dict(zip(("/v1/chat/completions", "/v1/responses", "/v1/messages"), NAMES, strict=True))
# What belongs to the connection on which the answer was recorded, and not to the answer.
CONNECTION = {"connection", "content-encoding", "content-length", "transfer-encoding", "server", "date"}


class Upstream(ThreadingHTTPServer):
    """Answers whatever comes with one recorded answer, and keeps what came."""

    daemon_threads = True

    def __init__(self, recorded: dict[str, Any]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.recorded = recorded
        self.received: list[tuple[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.received.append((self.path, body))
        recorded = self.server.recorded
        answer = json.dumps(recorded["body"]).encode()
        streams = body.get("stream") is True and recorded["status"] < 400
        if streams:
            answer = as_stream(WIRES[recorded["endpoint"]], answer)
        self.send_response(recorded["status"])
        for name, value in recorded["headers"].items():
            if name not in CONNECTION and not (streams and name == "content-type"):
                self.send_header(name, value)
        if streams:
            self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the table is what is printed."""


def as_stream(name: str, answer: bytes) -> bytes:
    """The stream that says the same as a whole answer."""
    wire = wire_named(name)
    encoder = wire.encoder(None)
    return encoder.feed(as_chunk(wire.parse(answer, None)[0])) + encoder.finish()


@contextmanager
def serving(recorded: dict[str, Any]) -> Iterator[tuple[str, Upstream]]:
    with Upstream(recorded) as upstream:
        thread = threading.Thread(target=upstream.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{upstream.server_port}/v1", upstream
        finally:
            upstream.shutdown()
            thread.join()


class Gateway:
    """`quoth serve` before an upstream that answers with whatever is set as recorded."""

    def __init__(self, folder: Path, upstream: Upstream):
        self.upstream = upstream
        base = f"http://127.0.0.1:{upstream.server_port}/v1"
        params = {"model": "poe/*", "api_base": base, "api_key": "replayed", "num_retries": 0}
        settings = {
            "model_list": [{"model_name": "*", "litellm_params": params}],
            "router_settings": {"disable_cooldowns": True},
        }
        file = folder / "config.yaml"
        file.write_text(json.dumps(settings), encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_MASTER_KEY"))}
        command = [sys.executable, "-m", "quoth.cli", "serve", "--port", "0", "--config", str(file)]
        self.process = subprocess.Popen(
            command, env=kept, cwd=folder, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "http://127.0.0.1:" in line:
                self.port = int(line.partition("http://127.0.0.1:")[2].split("/")[0].split()[0].rstrip(".,"))
                break
        else:
            raise RuntimeError("the gateway did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def ask(self, path: str, body: dict[str, Any]) -> tuple[int, http.client.HTTPMessage, bytes]:
        for _ in range(100):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        answer = connection.getresponse()
        try:
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def replay(self, recorded: dict[str, Any]) -> Iterator[str]:
        self.upstream.recorded = recorded
        own, request = WIRES[recorded["endpoint"]], recorded["request"]
        self.upstream.received.clear()
        status, headers, raw = self.ask(recorded["endpoint"], {**request, "wire": own})
        yield from self._same(recorded, status, raw)
        path, sent = self.upstream.received[0]
        warned = headers.get("x-quoth-warnings", "")
        for name in sorted({*sent, *request}):
            if sent.get(name) != request.get(name) and not warned:
                yield f"gateway: sent {name} {sent.get(name)!r}, recorded {request.get(name)!r}, and no warning says so"
        if path != recorded["endpoint"]:
            yield f"gateway: sent to {path}, recorded {recorded['endpoint']}"
        body, _ = wire_named(own).to_chat(request)
        for path, name in WIRES.items():
            told, _ = wire_named(name).from_chat(body)
            for streamed in (False, True):
                if name == own and not streamed:
                    continue
                status, _, raw = self.ask(path, {**told, "stream": streamed, "wire": own})
                way = f"gateway, {path}{' streamed' if streamed else ''}"
                for difference in self._alike(recorded, name, streamed, status, raw):
                    yield f"{way}: {difference}"

    def _same(self, recorded: dict[str, Any], status: int, raw: bytes) -> Iterator[str]:
        """On its own wire: the recorded body."""
        found, body = json.loads(raw), recorded["body"]
        if recorded["status"] >= 400:
            yield from _refused(recorded, status, found)
            return
        if status != recorded["status"]:
            yield f"gateway: status {status}, recorded {recorded['status']}: {raw[:200]!r}"
            return
        model = recorded["request"]["model"] if recorded["endpoint"].endswith("completions") else body["model"]
        if found != {**body, "model": model}:
            yield f"gateway: {found!r}, recorded {body!r}"

    def _alike(self, recorded: dict[str, Any], name: str, streamed: bool, status: int, raw: bytes) -> Iterator[str]:
        """From another surface, or as a stream: what every API can say."""
        if recorded["status"] >= 400:
            yield from _refused(recorded, status, json.loads(raw))
            return
        if status != 200:
            yield f"status {status}: {raw[:300]!r}"
            return
        own, wire = wire_named(WIRES[recorded["endpoint"]]), wire_named(name)
        if streamed:
            read = wire.reader([], None)
            chunks = [chunk for chunk in map(read, SSEDecoder().feed(raw)) if chunk is not None]
            found = assemble(chunk for chunk in chunks if not isinstance(chunk, Done))
        else:
            found = wire.parse(raw, None)[0]
        before, after = essence(own.parse(json.dumps(recorded["body"]).encode(), None)[0]), essence(found)
        if streamed and name == "openai_chat":
            before, after = before[:-1], after[:-1]  # the usage of a stream is asked for
        if before != after:
            yield f"{after!r}, recorded {before!r}"


def _refused(recorded: dict[str, Any], status: int, found: dict[str, Any]) -> Iterator[str]:
    hidden = recorded["status"] in (401, 403)  # the gateway's own affair
    if status != (502 if hidden else recorded["status"]) and recorded["status"] < 500:
        yield f"status {status}, recorded {recorded['status']}"
    said = (recorded["body"].get("error") or {}).get("message", "")
    if not hidden and said not in found["error"]["message"]:
        yield f"the message lacks what was recorded: {found!r}"


@contextmanager
def gateway() -> Iterator[Gateway]:
    with Upstream({}) as upstream, tempfile.TemporaryDirectory() as folder:
        thread = threading.Thread(target=upstream.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        started = Gateway(Path(folder), upstream)
        try:
            yield started
        finally:
            started.process.terminate()
            started.process.wait()
            upstream.shutdown()
            thread.join()


def replay(recorded: dict[str, Any]) -> Iterator[str]:
    """Every difference, in words."""
    for ask in (blocking, on_a_loop):
        with serving(recorded) as (base_url, upstream):
            settings = {"provider": "poe", "api_key": "replayed", "base_url": base_url, "num_retries": 0}
            result = ask(settings, dict(recorded["request"]), WIRES[recorded["endpoint"]])
        for difference in differences(recorded, result, upstream.received):
            yield f"{ask.__name__}: {difference}"
    if recorded["status"] < 400:
        yield from across(recorded)


def across(recorded: dict[str, Any]) -> Iterator[str]:
    """What is lost when the answer is told to clients of the other APIs."""
    own = WIRES[recorded["endpoint"]]
    answer = wire_named(own).parse(json.dumps(recorded["body"]).encode(), None)[0]
    for name in NAMES:
        if name == own:
            continue
        wire = wire_named(name)
        document, _ = wire.render(answer, recorded["request"] if name == own else None)
        encoder = wire.encoder(None)
        raw = encoder.feed(as_chunk(answer)) + encoder.finish()
        read = wire.reader([], None)
        chunks = [chunk for chunk in map(read, SSEDecoder().feed(raw)) if chunk is not None]
        ways = {
            "whole": wire.parse(json.dumps(document).encode(), None)[0],
            "streamed": assemble(chunk for chunk in chunks if not isinstance(chunk, Done)),
        }
        for way, again in ways.items():
            if (before := essence(answer)) != (after := essence(again)):
                yield f"told to {name} {way}: {after!r}, recorded {before!r}"


def essence(answer: Completion) -> Any:
    """What of an answer every API can say."""
    message = answer.choices[0].message
    calls = [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in message.tool_calls or ()
        if call.function.name
    ]
    usage = answer.usage
    cached = usage.prompt_tokens_details.cached_tokens if usage and usage.prompt_tokens_details else None
    counts = (usage.prompt_tokens, usage.completion_tokens, cached or 0) if usage else None
    return message.content or "", message.reasoning_content or "", calls, answer.choices[0].finish_reason, counts


def blocking(settings: dict[str, Any], request: dict[str, Any], wire: str) -> Any:
    with Client(**settings) as client:
        functions: tuple[Any, ...] = (client.completion, client.responses.create, client.messages.create)
        calls = dict(zip(NAMES, functions, strict=True))
        try:
            return calls[wire](**request, wire=wire)
        except QuothError as error:
            return error


def on_a_loop(settings: dict[str, Any], request: dict[str, Any], wire: str) -> Any:
    async def ask() -> Any:
        async with AsyncClient(**settings) as client:
            functions: tuple[Any, ...] = (client.acompletion, client.responses.create, client.messages.create)
            calls = dict(zip(NAMES, functions, strict=True))
            try:
                return await calls[wire](**request, wire=wire)
            except QuothError as error:
                return error

    return asyncio.run(ask())


def differences(recorded: dict[str, Any], result: Any, received: list[tuple[str, Any]]) -> Iterator[str]:
    if len(received) != 1:
        yield f"upstream was asked {len(received)} times"
        return
    path, sent = received[0]
    if path != recorded["endpoint"]:
        yield f"sent to {path}, recorded {recorded['endpoint']}"
    warnings = [] if isinstance(result, QuothError) else result.warnings
    for name in sorted({*sent, *recorded["request"]}):
        told = any(name == warning.param or name in warning.message for warning in warnings)
        if sent.get(name) != recorded["request"].get(name) and not told:
            yield f"sent {name} {sent.get(name)!r}, recorded {recorded['request'].get(name)!r}, and no warning says so"
    if recorded["status"] >= 400:
        yield from differences_of_error(recorded, result)
    elif isinstance(result, QuothError):
        yield f"recorded {recorded['status']}, raised {result!r}"
    else:
        yield from differences_of_answer(recorded["body"], result)


def differences_of_error(recorded: dict[str, Any], result: Any) -> Iterator[str]:
    if not isinstance(result, QuothError):
        yield f"recorded {recorded['status']}, got an answer"
        return
    if result.status_code != recorded["status"]:
        yield f"status {result.status_code}, recorded {recorded['status']}"
    if result.body != recorded["body"]:
        yield f"body {result.body!r}, recorded {recorded['body']!r}"
    said = recorded["body"].get("error", {})
    if said.get("message", "") not in str(result):
        yield f"the message lacks what was recorded: {result}"
    for name in ("type", "code", "param"):
        if getattr(result, name) != said.get(name):
            yield f"{name} {getattr(result, name)!r}, recorded {said.get(name)!r}"


def differences_of_answer(body: dict[str, Any], result: Any) -> Iterator[str]:
    if result.model_dump(mode="json") != body:
        yield f"dumped {result.model_dump(mode='json')!r}, recorded {body!r}"
    yield from differences_of_attributes("body", body, result)
    usage = body["usage"]
    if result.usage is None or result.usage["total_tokens"] != usage["total_tokens"]:
        yield f"usage {result.usage!r}, recorded {usage!r}"
    if result.cost.source not in ("estimated", "unknown") or (result.cost.usd is None) != (
        result.cost.source == "unknown"
    ):
        yield f"a cost that cannot be: {result.cost!r}"


def differences_of_attributes(place: str, recorded: Any, typed: Any) -> Iterator[str]:
    """Every recorded fact reads as an attribute of that name too."""
    if isinstance(recorded, dict):
        for name, value in recorded.items():
            read = typed[name] if isinstance(typed, dict) else getattr(typed, name, "nothing")
            yield from differences_of_attributes(f"{place}.{name}", value, read)
    elif isinstance(recorded, list):
        if len(recorded) != len(typed):
            yield f"{place} has {len(typed)} items, recorded {len(recorded)}"
        for index, value in enumerate(recorded[: len(typed)]):
            yield from differences_of_attributes(f"{place}[{index}]", value, typed[index])
    elif recorded != typed:
        yield f"{place} reads {typed!r}, recorded {recorded!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the recordings are")
    directory = parser.parse_args().directory
    files = [path for kind in ("chat", "responses", "messages") for path in sorted(directory.glob(f"{kind}-*.json"))]
    if not files:
        print("No recorded exchanges there: name the directory that holds the recorded exchanges.")
        return 2
    failed = 0
    width = max(len(path.stem) for path in files)
    with gateway() as serves:
        for path in files:
            recorded = json.loads(path.read_text(encoding="utf-8"))
            found = [*replay(recorded), *serves.replay(recorded)]
            failed += bool(found)
            print(f"{path.stem:{width}}  {recorded['status']}  {'DIFFERS' if found else 'kept'}")
            for difference in found:
                print(f"{'':{width}}       {difference}")
    print(f"\n{len(files) - failed} of {len(files)} kept whole.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
