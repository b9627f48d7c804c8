"""Traces, as a collector gets them: a real receiver of OTLP over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from quoth.gateway.exchange import Tokens
from quoth.gateway.otel import OtelMissing, Traces
from quoth.gateway.redact import Redactor
from quoth.gateway.settings import Quoth, Settings
from quoth.types import Attempt, Cost, Warning
from tests.gateway.exchanges import candidate, exchange, routes

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Takes spans; `status` is what it answers, `headers` those of its last request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.spans: list[Any] = []
        self.resource: dict[str, Any] = {}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.path = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Collector)
        data = self.rfile.read(int(self.headers["content-length"]))
        found = ExportTraceServiceRequest.FromString(data)
        for group in found.resource_spans:
            server.resource = attributes(group.resource)
            for scope in group.scope_spans:
                server.spans += scope.spans
        server.path = self.path
        server.headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def attributes(of: Any) -> dict[str, Any]:
    found = {}
    for pair in of.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return found


def traces(collector: Collector, **environment: str) -> Traces:
    settings = Settings(models=(), environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, **environment})
    return Traces(settings, {}, Redactor(["secret-of-ours-1"]))


def test_a_request_and_its_attempts(collector: Collector):
    made = traces(collector, OTEL_EXPORTER_OTLP_HEADERS="x-team=blue%20one", OTEL_RESOURCE_ATTRIBUTES="region=eu")
    one = exchange(
        model="small",
        known_model="small",
        candidate=candidate(routes(), "small"),
        wire="openai_chat",
        stream=True,
        first_at=10.2,
        upstream_seconds=0.15,
        client="10.0.0.1",
        tokens=Tokens(100, 20, cached=60, written=5, reasoning=3),
        cost=Cost(usd=Decimal("0.25"), points=8250, source="estimated"),
        finish_reason="stop",
        attempts=[
            Attempt("poe", "GPT-5.2", "openai_chat", 0.1, 500, "InternalServerError", "secret"),
            Attempt("poe", "GPT-5.2", "openai_chat", 0.1, 200),
        ],
        warnings=[Warning("ignored", "seed", "it has no effect")],
    )
    made.begin(one)
    made.over(one)
    made.close(10)
    assert (collector.path, collector.headers["x-team"]) == ("/v1/traces", "blue one")
    assert collector.resource["service.name"] == "quoth"
    assert collector.resource["region"] == "eu"
    *attempts, request = sorted(collector.spans, key=lambda span: span.kind, reverse=True)
    assert request.name == "chat small"
    found = attributes(request)
    assert found.pop("quoth.overhead_seconds") == pytest.approx(0.05)
    assert found.pop("gen_ai.response.time_to_first_chunk") == pytest.approx(0.2)
    assert found == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "client.address": "10.0.0.1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "poe",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "GPT-5.2",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "quoth.request.id": "req_1",
        "quoth.key": "master",
        "quoth.surface": "chat",
        "quoth.deployment": "d1",
        "quoth.wire": "openai_chat",
        "quoth.attempts": 2,
        "quoth.fallbacks": 0,
        "quoth.waited_seconds": 0.0,
        "quoth.cost.usd": 0.25,
        "quoth.cost.points": 8250,
        "quoth.cost.source": "estimated",
        "quoth.warnings": ["ignored"],
    }
    assert len(attempts) == 2
    assert {span.parent_span_id for span in attempts} == {request.span_id}
    assert {span.trace_id for span in attempts} == {request.trace_id}
    first, second = sorted(attempts, key=lambda span: span.start_time_unix_nano)
    assert attributes(first)["error.type"] == "InternalServerError"
    assert attributes(first)["http.response.status_code"] == 500
    assert first.status.code == 2
    assert second.status.code == 0
    assert first.end_time_unix_nano <= second.start_time_unix_nano
    assert second.end_time_unix_nano == request.end_time_unix_nano, "a stream's last attempt goes on to its end"


def test_a_trace_is_continued_and_forwarded(collector: Collector):
    made = traces(collector)
    headers = {b"traceparent": f"00-{TRACE}-{PARENT}-01".encode(), b"tracestate": b"vendor=1"}
    one = exchange(headers=headers)
    made.begin(one)
    sent = one.trace
    made.over(one)
    made.close(10)
    [span] = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert sent == {"traceparent": f"00-{TRACE}-{span.span_id.hex()}-01", "tracestate": "vendor=1"}


def test_what_the_caller_does_not_sample_is_not_sent(collector: Collector):
    made = traces(collector)
    one = exchange(headers={b"traceparent": f"00-{TRACE}-{PARENT}-00".encode()})
    made.begin(one)
    assert (one.trace or {})["traceparent"].endswith("-00")
    made.over(one)
    made.close(10)
    assert collector.spans == []


@pytest.mark.parametrize("header", [b"", b"nonsense", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", b"\xff"])
def test_a_trace_that_is_none_begins_anew(collector: Collector, header: bytes):
    made = traces(collector)
    made.over(exchange(headers={b"traceparent": header}))
    made.close(10)
    [span] = collector.spans
    assert span.parent_span_id == b""


def test_failures(collector: Collector):
    made = traces(collector)
    made.over(exchange(model="x" * 1000 + "secret-of-ours-1", status=404, error="not_found_error"))
    made.over(exchange(model="a secret-of-ours-1", status=502, error="upstream_error", left=True))
    made.close(10)
    theirs, ours = collector.spans
    assert (theirs.status.code, ours.status.code) == (0, 2), "a 404 is no failure of the server"
    assert attributes(theirs)["error.type"] == "not_found_error"
    assert len(attributes(theirs)["gen_ai.request.model"]) == 200
    assert attributes(ours)["gen_ai.request.model"] == "a [key]"
    assert attributes(ours)["quoth.client_left"] is True


def test_a_collector_that_is_down_stalls_nobody(collector: Collector, monkeypatch: pytest.MonkeyPatch):
    """S20"""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    collector.status = 400
    made = traces(collector)
    for _ in range(3_000):
        made.over(exchange())
    made.close(10)
    assert made.failed > 0
    made = Traces(Settings(models=(), environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}), {})
    made.over(exchange())
    made.close(0.01)
    for thread in threading.enumerate():
        if thread.name == "quoth-otel":
            thread.join()  # it ends, if not soon


def test_it_can_be_switched_off_by_the_standard_variables(collector: Collector):
    for environment in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
        made = traces(collector, **environment)
        made.over(exchange())
        made.close(10)
    assert collector.spans == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "there is http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "there are otlp, console and none"),
    ],
)
def test_what_there_is_not_is_said(environment: dict[str, str], said: str):
    with pytest.raises(OtelMissing, match=said):
        Traces(Settings(models=(), quoth=Quoth(otel=True)), environment)


def test_without_the_extra_there_is_one_sentence():
    program = """
import sys
sys.modules["opentelemetry"] = None
from quoth.gateway.otel import OtelMissing, Traces
from quoth.gateway.settings import Settings
try:
    Traces(Settings(models=()), {})
except OtelMissing as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Traces need an extra: pip install 'quoth[otel]'\n"
