"""OpenTelemetry traces: a span for each request, and one below it for each attempt at a provider.

    traces = Traces(settings, environment)      # OtelMissing without the extra; `settings.quoth.otel` says whether
    traces.begin(exchange)                      # when a request has come; fills exchange.trace
    traces.over(exchange)
    traces.close(timeout=2.0)

Where spans go to is said by the standard OTEL_ variables. Names are those of OpenTelemetry's semantic conventions for
generative AI and for HTTP, all of them here; what these have no word for begins with `quoth.`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quoth._version import __version__
from quoth.gateway.exchange import Exchange
from quoth.gateway.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

__all__ = ["OtelMissing", "Traces"]

# --- Names --------------------------------------------------------------------------------------------------------

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
STREAM = "gen_ai.request.stream"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
CLIENT = "client.address"
SERVER = "server.address"
ERROR = "error.type"
REQUEST_ID = "quoth.request.id"
KEY = "quoth.key"
SURFACE = "quoth.surface"
DEPLOYMENT = "quoth.deployment"
WIRE = "quoth.wire"
ATTEMPTS = "quoth.attempts"
FALLBACKS = "quoth.fallbacks"
WAITED = "quoth.waited_seconds"
OVERHEAD = "quoth.overhead_seconds"
COST_USD = "quoth.cost.usd"
COST_POINTS = "quoth.cost.points"
COST_SOURCE = "quoth.cost.source"
CACHE_HIT = "quoth.cache_hit"
LEFT = "quoth.client_left"
WARNINGS = "quoth.warnings"

# What the conventions call the work of each surface.
_OPERATIONS = {
    "chat": "chat",
    "responses": "chat",
    "messages": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "images": "generate_content",
    "speech": "generate_content",
    "videos": "generate_content",
}
_SPAN = "otel.span"
_LONGEST_NAME = 200


class OtelMissing(Exception):
    """Traces cannot be made; the message says what to do."""


class Traces:
    """`environment`: what the process has; the settings' own variables are laid over it. `redact` is asked about names
    that callers make up. `failed` counts spans that nobody took."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], redact: Callable[[str], str] = str):
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace import propagation
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            raise OtelMissing("Traces need an extra: pip install 'quoth[otel]'") from None
        self._redact = redact
        self.failed = 0
        environment = settings.environ(environment)
        named = {"service.name": environment.get("OTEL_SERVICE_NAME") or "quoth", "service.version": __version__}
        resource = Resource.create({**named, **_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES"))})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = _exporter(environment)
        if exporter is not None:
            # Its queue has a bound, and it drops what does not fit.
            self._provider.add_span_processor(BatchSpanProcessor(self._counted(exporter)))
        self._tracer = self._provider.get_tracer("quoth.gateway", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._with_span = propagation.set_span_in_context

    def begin(self, exchange: Exchange) -> None:
        """A request has come: its span continues the trace that its `traceparent` names, and what is sent upstream
        carries it on."""
        if exchange.notes is None:
            exchange.notes = {}
        span = exchange.notes[_SPAN] = self._started(exchange, time.time_ns())
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._with_span(span))
        exchange.trace = carrier

    def over(self, exchange: Exchange) -> None:
        """The spans of one request."""
        end = time.time_ns()
        start = end - _ns(exchange.ended - exchange.started)
        span = None if exchange.notes is None else exchange.notes.pop(_SPAN, None)
        if span is None:
            span = self._started(exchange, start)
        if span.is_recording():
            self._describe(span, exchange)
            self._attempts(span, exchange, start, end)
        span.end(end)

    def close(self, timeout: float) -> None:
        """Send what waits, for `timeout` seconds at most."""
        thread = threading.Thread(target=self._provider.shutdown, name="quoth-otel", daemon=True)
        thread.start()
        thread.join(timeout)

    def _started(self, exchange: Exchange, start: int) -> Span:
        from opentelemetry.trace import SpanKind

        carrier = {
            name: exchange.headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in exchange.headers
        }
        parent: Context = self._propagator.extract(carrier)
        name = f"{exchange.method} {exchange.route}"
        return self._tracer.start_span(name, parent, kind=SpanKind.SERVER, start_time=start)

    def _describe(self, span: Span, exchange: Exchange) -> None:
        span.set_attributes(
            {
                METHOD: exchange.method,
                ROUTE: exchange.route,
                STATUS: exchange.status,
                REQUEST_ID: exchange.id,
                SURFACE: exchange.surface,
                OVERHEAD: exchange.overhead,
            }
        )
        _set(span, CLIENT, exchange.client)
        _set(span, KEY, None if exchange.caller is None else exchange.caller.id)
        if exchange.model:
            self._describe_call(span, exchange)
        for name, is_so in ((CACHE_HIT, exchange.cache_hit), (LEFT, exchange.left)):
            if is_so:
                span.set_attribute(name, True)
        if exchange.error:
            _fail(span, exchange.error, server=exchange.status >= 500 or exchange.status < 400)

    def _describe_call(self, span: Span, exchange: Exchange) -> None:
        operation = _OPERATIONS.get(exchange.surface, exchange.surface)
        model = exchange.known_model or self._redact(exchange.model[:_LONGEST_NAME])
        span.update_name(f"{operation} {model}")
        span.set_attributes({OPERATION: operation, REQUEST_MODEL: model, STREAM: exchange.stream})
        candidate = exchange.candidate
        if candidate is not None:
            served = candidate.target.model
            span.set_attributes(
                {
                    PROVIDER: candidate.target.provider,
                    RESPONSE_MODEL: served if exchange.known_model else self._redact(served[:_LONGEST_NAME]),
                    DEPLOYMENT: candidate.deployment.id,
                    ATTEMPTS: len(exchange.attempts),
                    FALLBACKS: exchange.fallbacks,
                    WAITED: exchange.waited,
                }
            )
        _set(span, WIRE, exchange.wire)
        if exchange.finish_reason is not None:
            span.set_attribute(FINISH_REASONS, [exchange.finish_reason])
        if exchange.stream and exchange.first_at:
            span.set_attribute(FIRST_CHUNK, exchange.first_at - exchange.started)
        if (tokens := exchange.tokens) is not None:
            _set(span, INPUT_TOKENS, tokens.prompt)
            _set(span, OUTPUT_TOKENS, tokens.completion)
            _set(span, CACHE_READ, tokens.cached or None)
            _set(span, CACHE_CREATION, tokens.written or None)
            _set(span, REASONING_TOKENS, tokens.reasoning or None)
        if (cost := exchange.cost) is not None:
            _set(span, COST_USD, None if cost.usd is None else float(cost.usd))
            _set(span, COST_POINTS, cost.points)
            span.set_attribute(COST_SOURCE, cost.source)
        if exchange.warnings:
            span.set_attribute(WARNINGS, [warning.code for warning in exchange.warnings])

    def _attempts(self, parent: Span, exchange: Exchange, start: int, end: int) -> None:
        """One span each. How long an attempt took is known, when it began is not: they are laid one after the other,
        behind the wait in line, and a stream's last goes on to the end."""
        from opentelemetry.trace import SpanKind

        context = self._with_span(parent)
        operation = _OPERATIONS.get(exchange.surface, exchange.surface)
        begun = start + _ns(exchange.waited)
        for number, attempt in enumerate(exchange.attempts, 1):
            last = number == len(exchange.attempts)
            done = end if last and exchange.stream and attempt.error is None else begun + _ns(attempt.seconds)
            model = attempt.model if exchange.known_model else self._redact(attempt.model[:_LONGEST_NAME])
            span = self._tracer.start_span(f"{operation} {model}", context, kind=SpanKind.CLIENT, start_time=begun)
            span.set_attributes({OPERATION: operation, PROVIDER: attempt.provider, REQUEST_MODEL: model})
            _set(span, STATUS, attempt.status_code)
            _set(span, WIRE, attempt.wire)
            if attempt.error is not None:
                _fail(span, attempt.error, server=True)
            span.end(min(done, end))
            begun = min(done, end)

    def _counted(self, exporter: SpanExporter) -> SpanExporter:
        """The exporter, its failures counted."""
        from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

        traces = self

        class Counted(SpanExporter):
            def export(self, spans: Sequence[Any]) -> SpanExportResult:
                result = exporter.export(spans)
                if result is not SpanExportResult.SUCCESS:
                    traces.failed += len(spans)
                return result

            def shutdown(self) -> None:
                exporter.shutdown()

            def force_flush(self, timeout_millis: int = 30_000) -> bool:
                return exporter.force_flush(timeout_millis)

        return Counted()


def _exporter(environment: Mapping[str, str]) -> SpanExporter | None:
    """As the standard variables say. What the settings set is handed over; the rest the exporter reads itself."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    kind = environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() or "otlp"
    if kind == "none":
        return None
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if kind != "otlp":
        raise OtelMissing(f"OTEL_TRACES_EXPORTER={kind}: there are otlp, console and none")
    protocol = _either(environment, "PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        raise OtelMissing(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: there is http/protobuf (port 4318 of a collector)")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise OtelMissing("Traces need an extra: pip install 'quoth[otel]'") from None
    endpoint = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if endpoint is None and (base := environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")):
        endpoint = f"{base.rstrip('/')}/v1/traces"
    return OTLPSpanExporter(endpoint=endpoint, headers=_pairs(_either(environment, "HEADERS")) or None)


def _either(environment: Mapping[str, str], name: str) -> str | None:
    """What is said for traces, else for everything."""
    return environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environment.get(f"OTEL_EXPORTER_OTLP_{name}")


def _pairs(text: str | None) -> dict[str, str]:
    """`a=b,c=d`, values percent-encoded, as the variables have it."""
    from urllib.parse import unquote

    parts = [part.partition("=") for part in (text or "").split(",")]
    return {name.strip(): unquote(value.strip()) for name, equals, value in parts if equals and name.strip()}


def _set(span: Span, name: str, value: str | float | None) -> None:
    if value is not None and value != "":
        span.set_attribute(name, value)


def _fail(span: Span, error: str, *, server: bool) -> None:
    """`server`: a span of a server counts as failed only if it is the server's fault."""
    from opentelemetry.trace import StatusCode

    span.set_attribute(ERROR, error)
    if server:
        span.set_status(StatusCode.ERROR)


def _ns(seconds: float) -> int:
    return int(max(0.0, seconds) * 1e9)
