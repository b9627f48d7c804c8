"""A stream after its first good chunk: what breaks it is its last event, and odd ones that are whole pass as they came.
U6, U8-U14, U23-U28, U32-U34 of docs/reliability.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.faultserver import (
    USAGE,
    Close,
    FaultServer,
    Reset,
    Send,
    SendSlowly,
    Stall,
    Step,
    answer,
    chat,
    delta,
    event,
    giant_line,
    sse,
)
from tests.gateway.faults.conftest import SECRETS
from tests.gateway.serving import KEY, UPSTREAM_KEY, Serving, chat_body, deployment

pytestmark = pytest.mark.timeout(60)

BROKEN, SILENT = "stream_interrupted", "upstream_timeout"
BEGUN = sse("one ", "two ", "three").first(2)
CLOSED = sse("one ", "two ", "three").framed("close").first(2)


@dataclass(frozen=True, slots=True)
class Break:
    """A way in which a stream ends early, after "one two ". `slug`: the type of the last event."""

    name: str
    steps: tuple[Step, ...]
    slug: str = BROKEN
    model: str = "any"
    says: str = ""


def then(*parts: Any) -> Any:
    return sse("one ", "two ", *parts)


def unended(*parts: Any) -> Any:
    return sse("one ", "two ", *parts, finish_reason=None, usage=None, done=False)


PACKED = then("three").gzipped().paced(0.02)
LUCK = {"error": {"message": f"out of luck with {UPSTREAM_KEY}", "type": "provider_error"}}

BREAKS = [
    Break("reset", (BEGUN, Reset())),
    Break("fin", (BEGUN, Close())),
    Break("fin in a chunk", (BEGUN, Send(b"ff\r\ndata: {"), Close())),
    Break("fin where that is the end", (CLOSED, Close())),
    Break("the end without a finish reason", (unended(),)),
    Break("half an event", (unended(b'data: {"choices": [{"delta": {"cont'),)),
    Break("an event without its blank line", (unended(event(delta("three")).rstrip(b"\n")),)),
    Break("silence", (BEGUN, Stall()), SILENT, "short"),
    Break("byte by byte", (BEGUN, SendSlowly(b"9999\r\ndata: {" + b" " * 999, every=0.05)), SILENT, "brief"),
    Break(
        "keep-alives without end",
        (BEGUN, SendSlowly(b"8\r\n: wait\n\n\r\n" * 999, every=0.02, size=13)),
        SILENT,
        "brief",
    ),
    Break("an error event", (then(LUCK, "three"),), "upstream_error", says="out of luck with [key]"),
    Break(
        "a named error event", (then(event({"message": "out of luck"}, name="error")),), "upstream_error", says="luck"
    ),
    Break("an error as text", (then({"error": "out of luck"}),), "upstream_error", says="out of luck"),
    Break("overloaded", (then({"error": {"message": "busy", "type": "overloaded_error"}}),), "upstream_overloaded"),
    Break("our key", (then({"error": {"message": "who?", "code": 401}}),), "upstream_auth"),
    Break("not JSON", (then(event(b"hello there")),)),
    Break("half of the JSON", (then(event(b'{"choices": [')),)),
    Break("a page", (then(event(b"<html><title>Bad Gateway</title></html>")),)),
    Break("a list", (then(event(b"[]")),)),
    Break("no text", (then(event(b'{"choices": [{"finish_reason": "\xff"}]}')),)),
    Break("nested deeply", (then(event(b'{"choices": [{"delta": ' + b"[" * 50_000 + b"]" * 50_000 + b"}]}")),)),
    Break("an event of 2 MiB", (then("x" * (2 << 20)),), model="small"),
    Break(
        "an event of 2 MiB in short lines",
        (then(b"data: " + b"\ndata: ".join([b"x" * 65536] * 32) + b"\n\n"),),
        model="small",
    ),
    Break("a chunk without a size", (replace(then("three"), bad_chunk=2),)),
    Break("broken compression", (replace(PACKED, body=(*PACKED.body[:2], b"\xff" * 50)),)),
    Break("compression cut off", (replace(PACKED, body=PACKED.body[:2]),)),
]


@pytest.fixture(scope="module")
def limited(server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Deployments with short times, and a small limit on events."""
    models = [
        deployment("brief/*", server.url, "custom_openai/*", num_retries=0, timeout={"total": 0.4}),
        deployment("small/*", server.url, "custom_openai/*", num_retries=0),
        deployment("priced/*", server.url, "custom_openai/*", input_cost_per_token=0.001, output_cost_per_token=0.01),
    ]
    with Serving(
        tmp_path_factory.mktemp("limited"), models=models, quoth={"server": {"event_limit": "1MiB"}}
    ) as gateway:
        yield gateway


@pytest.mark.parametrize("case", BREAKS, ids=lambda case: case.name.replace(" ", "-"))
def test_what_breaks_a_stream_is_its_last_event(
    case: Break, gateway: Serving, limited: Serving, upstream: FaultServer, name: str
) -> None:
    gateway = limited if case.model in ("brief", "small") else gateway
    upstream.play(*case.steps)
    left, asked = len(upstream.disconnects), len(upstream.requests)
    got = gateway.post(chat_body(model=f"{case.model}/{name}", stream=True, fallbacks=["never/asked"]))
    assert got.status == 200
    *events, last = got.events
    said = [json.loads(one)["choices"][0]["delta"]["content"] for one in events]
    assert "".join(said) == "one two "
    error = json.loads(last)["error"]
    assert error["type"] == case.slug or (case.slug == "upstream_error" and error["type"] == "provider_error")
    assert case.says in error["message"]
    assert "[DONE]" not in got.events
    for secret in SECRETS:
        assert secret.encode() not in got.body
    line = gateway.line(got)
    assert (line["status"], line["error"], line["attempts"]) == (200, case.slug, 1)
    assert "cost_usd" not in line, "unknown is not nothing"
    assert len(upstream.requests) == asked + 1
    if any(isinstance(step, Stall | SendSlowly) for step in case.steps):
        upstream.wait_for(lambda: len(upstream.disconnects) > left)


@pytest.mark.parametrize("usage", [USAGE, None], ids=["known", "unknown"])
def test_what_a_broken_stream_used_is_settled(usage: Any, limited: Serving, upstream: FaultServer, name: str) -> None:
    parts: list[Any] = ["one ", *([{"choices": [], "usage": usage}] if usage else []), "two"]
    upstream.play(sse(*parts).first(len(parts)), Reset())
    got = limited.post(chat_body(model=f"priced/{name}", stream=True))
    assert b"one " in got.body
    line = limited.line(got)
    assert line["error"] == BROKEN
    assert (line.get("completion_tokens"), line.get("cost_usd")) == ((3, line["cost_usd"]) if usage else (None, None))
    if usage:
        assert Decimal(line["cost_usd"]) == Decimal("0.037")


def test_the_official_client_raises_what_broke_a_stream(gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(BEGUN, Reset())
    said = ""
    with openai.OpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        stream = client.chat.completions.create(
            model=f"any/{name}", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        with pytest.raises(openai.APIError, match="in mid-stream"):
            for chunk in stream:
                said += chunk.choices[0].delta.content or ""
    assert said == "one two "


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_word_of_an_answer_is_in_the_log(stream: bool, limited: Serving, upstream: FaultServer, name: str) -> None:
    """Not of one that cannot be read, nor of the prompt."""
    begun = event(delta("one")) if stream else b""
    upstream.play(answer(begun + b'data: {"PRIVATE' if stream else b'{"id": "PRIVATE', content_type="text/plain"))
    prompt = [{"role": "user", "content": "PRIVATE"}]
    for told in (
        limited.post(chat_body(model=f"small/{name}", stream=stream, messages=prompt)),
        limited.post(chat_body(model=f"small/{name}", stream=stream, messages=prompt, n="PRIVATE")),
    ):
        limited.line(told)
    assert "PRIVATE" not in "\n".join((*limited.log, *limited.told))


# Odd, but whole

TEXT = "héllo wörld 🎉 end"
NEWLINES = (b"\n", b"\r", b"\r\n")
FIN = delta(finish_reason="stop")
CALLS: list[dict[str, Any]] = [
    {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]},
    {"tool_calls": [{"id": "a", "function": {"name": "f"}}]},
    {"tool_calls": [{"index": 1, "function": {"arguments": '{"x": "\\'}}]},
    {"tool_calls": [{"index": 1, "function": {"arguments": 'u00e9"}'}}]},
    {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": None}}]},
]
WHOLE: dict[str, tuple[Step, ...]] = {
    "CRLF": (sse(*TEXT, newline=b"\r\n"),),
    "CR": (sse(*TEXT, newline=b"\r"),),
    "newlines mixed": (sse(*[event(delta(char), newline=NEWLINES[at % 3]) for at, char in enumerate(TEXT)]),),
    "a byte order mark": (sse(b"\xef\xbb\xbf", TEXT),),
    "blank lines first": (sse(b"\n\r\n\n", TEXT),),
    "comments between": (sse(*[part for char in TEXT for part in (b": ping\n\n", char)]),),
    "comments in events": (sse(b": a\n" + event(delta(TEXT)).replace(b"\n\n", b"\n:b\n\n")),),
    "unknown fields": (sse(b"id: 7\x00\nretry: 100\nfoo\nbar: baz\n" + event(delta(TEXT))),),
    "no space after the colon": (sse(event(delta(TEXT)).replace(b"data: ", b"data:")),),
    "data in several lines": (sse(event(delta(TEXT)).replace(b'"choices"', b'\ndata: "choices"')),),
    "named events": (sse(event(delta(TEXT), name="message")),),
    "[DONE] twice": (sse(TEXT, event(b"[DONE]")),),
    "events after [DONE]": (sse(TEXT, FIN, event(b"[DONE]"), "never seen"),),
    "no [DONE]": (sse(TEXT, done=False),),
    "closed without [DONE]": (sse(TEXT, done=False).framed("close"),),
    "reset after [DONE]": (sse(TEXT).first(4), Reset()),
    "silence after [DONE]": (sse(TEXT).first(4), Stall()),
    "no finish reason but [DONE]": (sse(TEXT, finish_reason=None),),
    "labelled as text": (sse(TEXT).typed("text/plain"),),
    "labelled as JSON": (sse(TEXT).typed("application/json"),),
    "labelled as bytes": (sse(TEXT).typed("application/octet-stream"),),
    "compressed": (sse(TEXT).gzipped(),),
    "compressed, compactly": (sse(*TEXT).gzipped().framed("length"),),
    "with its length": (sse(TEXT).framed("length"),),
    "until the end": (sse(TEXT).framed("close"),),
    "after early hints": (sse(TEXT).after(103, 100, 102),),
    "in one event": (sse(delta(TEXT, finish_reason="stop"), finish_reason=None),),
    "not streamed": (chat(TEXT),),
    "choices null": (sse({"choices": None}, TEXT),),
    "choices empty": (sse({"choices": []}, TEXT, {"choices": []}),),
    "an index missing": (sse({"choices": [{"delta": {"content": TEXT}}]}),),
    "content null": (sse({"choices": [{"index": 0, "delta": {"content": None}}]}, TEXT),),
    "byte by byte": (sse(TEXT).dripped(0.0002),),
    "byte by byte, CRLF": (sse(TEXT, newline=b"\r\n").dripped(0.0002),),
    "byte by byte, CR": (sse(TEXT, newline=b"\r").dripped(0.0002),),
    "another model": (sse({**delta(TEXT), "model": "renamed-by-them", "x_more": {"model": "kept"}}),),
    "usage twice": (sse(TEXT, {"choices": [], "usage": {"prompt_tokens": 1}}),),
    "no usage": (sse(TEXT, usage=None),),
    "an old date": (sse({**delta(TEXT), "created": -5}).headed(date="Thu, 01 Jan 1970 00:00:00 GMT"),),
    "tool calls": (sse(TEXT, *[delta(**call) for call in CALLS], finish_reason="tool_calls"),),
    "refused": (sse(TEXT, delta(refusal="no"), finish_reason="content_filter"),),
    "1,000 events": (sse(*TEXT, *[""] * 1000),),
}


# Without usage, or with it after the end.
UNCOUNTED = ("no usage", "[DONE] twice", "events after [DONE]")


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_half_a_surrogate_pair_passes(first: bool, gateway: Serving, upstream: FaultServer, name: str) -> None:
    """Some servers cut an emoji between two events; every client reads what that makes."""
    halves = [
        b'data: {"model": "model", "choices": [{"delta": {"content": "\\%b"}}]}\n\n' % half
        for half in (b"ud83d", b"ude00")
    ]
    upstream.play(sse(*([] if first else ["one"]), *halves))
    got = gateway.post(chat_body(model=f"any/{name}", stream=True))
    assert b'"\\ud83d"' in got.body
    assert b'"\\ude00"' in got.body
    assert got.events[-1] == "[DONE]"
    upstream.play(
        answer(rb'{"id": "x", "model": "x", "choices": [{"message": {"content": "\ud83d, \"model\": \"x\""}}]}')
    )
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert got.status == 200
    assert got.json["model"] == f"any/{name}"


def text_of(body: bytes) -> str:
    """What a client that knows its WHATWG reads."""
    lines = body.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    events, data = [], []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            events.append("\n".join(data))
            data = []
    assert not data
    assert events[-1] == "[DONE]", events[-1]
    chunks = [json.loads(one) for one in events[:-1]]
    assert all("error" not in chunk for chunk in chunks)
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices") or ())


@pytest.mark.parametrize("case", WHOLE, ids=lambda name: name.replace(" ", "-"))
def test_an_odd_stream_is_passed_on_whole(case: str, gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(*WHOLE[case])
    got = gateway.post(chat_body(model=f"any/{name}", stream=True))
    assert got.status == 200
    assert text_of(got.body) == TEXT
    line = gateway.line(got)
    assert "error" not in line
    assert line["total_ms"] >= 0
    assert line.get("overhead_ms", 0) >= 0
    assert line.get("completion_tokens") == (None if case in UNCOUNTED else 3)


@pytest.mark.parametrize("case", WHOLE, ids=lambda name: name.replace(" ", "-"))
def test_an_odd_stream_becomes_texts_of_the_older_api(
    case: str, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(*WHOLE[case])
    got = gateway.ask("POST", "/v1/completions", {"model": f"any/{name}", "prompt": "hi", "stream": True})
    assert got.status == 200
    assert got.events[-1] == "[DONE]"
    chunks = [json.loads(one) for one in got.events[:-1]]
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == TEXT
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}


@pytest.mark.parametrize("case", BREAKS[1:18:3], ids=lambda case: case.name.replace(" ", "-"))
def test_what_breaks_a_stream_is_the_last_event_of_the_older_api_too(
    case: Break, gateway: Serving, limited: Serving, upstream: FaultServer, name: str
) -> None:
    gateway = limited if case.model in ("brief", "small") else gateway
    upstream.play(*case.steps)
    got = gateway.ask("POST", "/v1/completions", {"model": f"{case.model}/{name}", "prompt": "hi", "stream": True})
    *events, last = got.events
    assert "".join(json.loads(one)["choices"][0]["text"] for one in events) == "one two "
    assert "error" in json.loads(last)
    assert gateway.line(got)["error"] == case.slug


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ("[]", None),
        ("null", None),
        ('"odd"', None),
        ("[5]", None),
        ('[{"index": 0, "message": null}]', ""),
        ('[{"index": 0, "message": {"content": [{"type": "text", "text": "x"}]}}]', ""),
        ('[{"index": 0, "message": {"content": "\\ud800 x"}}]', "\ufffd x"),
    ],
    ids=["empty", "null", "text", "number", "no-message", "parts", "surrogate"],
)
def test_an_odd_answer_becomes_a_text_of_the_older_api(
    choices: str, text: str | None, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(answer('{"id": "x", "object": "chat.completion", "choices": ' + choices + "}"))
    got = gateway.ask("POST", "/v1/completions", {"model": f"any/{name}", "prompt": "hi"})
    assert got.status == 200
    assert [choice["text"] for choice in got.json["choices"]] == ([] if text is None else [text])


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_code_point_is_never_broken(size: int, gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(sse("é🎉", "€").dripped(0.0001, size=size))
    got = gateway.post(chat_body(model=f"any/{name}", stream=True))
    assert text_of(got.body) == "é🎉€"


def test_a_giant_event_within_the_limit_passes(gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(giant_line(12))
    assert len(text_of(gateway.post(chat_body(model=f"any/{name}", stream=True)).body)) == 12 << 20


@pytest.mark.parametrize(
    "choices",
    [[], None, [{"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"}], "odd", [5]],
    ids=["empty", "null", "no-content", "text", "number"],
)
def test_an_answer_without_content_passes(choices: Any, gateway: Serving, upstream: FaultServer, name: str) -> None:
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": name, "choices": choices}
    upstream.play(answer(body, content_type="application/octet-stream"))
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert (got.status, got.json) == (200, {**body, "model": f"any/{name}"})


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0)),
        ({"input_tokens": 4, "output_tokens": 5}, (4, 5)),
        ({"prompt_tokens": -1, "completion_tokens": "many"}, (None, None)),
        ("odd", (None, None)),
    ],
    ids=["missing", "zero", "other-names", "nonsense", "text"],
)
def test_usage_is_what_was_said(
    usage: Any, tokens: tuple[int | None, int | None], limited: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(chat("ok", usage=usage) if usage != "odd" else chat("ok", usage={"prompt_tokens": [1]}))
    got = limited.post(chat_body(model=f"priced/{name}"))
    line = limited.line(got)
    assert (line.get("prompt_tokens"), line.get("completion_tokens")) == tokens
    assert ("x-quoth-cost-usd" in got.headers) is (None not in tokens), "unknown is absent, and nothing is 0"


def test_hop_by_hop_headers_end_here(gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(
        chat("ok").headed(
            keep_alive="timeout=5",
            proxy_authenticate="Basic",
            upgrade="h2c",
            trailer="x-t",
            set_cookie="a=b",
            server="theirs",
            x_internal="secret",
            connection="keep-alive, x-internal",
        )
    )
    got = gateway.ask(
        "POST",
        "/v1/chat/completions",
        chat_body(model=f"any/{name}"),
        {
            "x-forwarded-for": "1.2.3.4",
            "cookie": "session=1",
            "te": "trailers",
            "x-custom": "a",
            "proxy-authorization": "x",
        },
    )
    assert got.status == 200
    for gone in ("keep-alive", "proxy-authenticate", "upgrade", "trailer", "set-cookie", "x-internal"):
        assert gone not in got.headers
    assert got.headers.get("server") != "theirs"
    sent = upstream.requests[-1].headers
    assert not sent.keys() & {"x-forwarded-for", "cookie", "te", "x-custom", "proxy-authorization", "x-request-id"}
    assert sent["accept-encoding"] == "identity"
