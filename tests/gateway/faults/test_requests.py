"""Requests that are wrong, or that try it on: one clean refusal each, and nothing reaches a provider.
C5-C10, C14, C21, X5, X8, X9 of docs/reliability.md."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.faultserver import FaultServer, chat, sse
from tests.gateway.faults.raw import receive, request
from tests.gateway.serving import KEY, Answer, Serving, chat_body

pytestmark = pytest.mark.timeout(60)

HI = b'"messages": [{"role": "user", "content": "hi"}]'


def check_refusal(answer: Answer, status: int = 400, slug: str = "invalid_request_error") -> None:
    assert (answer.status, answer.error["type"], answer.error["code"]) == (status, slug, str(status)), answer.body[:300]
    assert answer.headers["x-request-id"]
    assert b"Traceback" not in answer.body
    assert len(answer.body) < 2000


# C5, C6: what is no JSON

NOT_JSON = {
    "empty": (b"", "empty"),
    "blank": (b"  \n ", "empty"),
    "a word": (b"hello", "byte 0"),
    "cut off": (b'{"model": "m", ', "truncated"),
    "trailing junk": (b'{"model": "m"} x', "byte 16"),
    "two documents": (b'{"model": "m"}{"model": "m"}', "byte 15"),
    "single quotes": (b"{'model': 'm'}", "byte 1"),
    "cut off at once": (b"{", "truncated (byte 1)"),
    "Latin-1 in a message": (b'{"model": "any/x", "messages": [{"content": "caf\xe9"}]}', "not UTF-8 (byte 48)"),
    "half a pair in UTF-8": (b'{"model": "any/x", "x": "\xed\xa0\x80", ' + HI + b"}", "not UTF-8 (byte 25)"),
    "a comment": (b'{"model": "m" /* hi */}', "byte 14"),
    "a trailing comma": (b'{"model": "m",}', "byte 14"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ('{"model": "m"}'.encode("utf-16"), ""),
    "Latin-1": (b'{"model": "caf\xe9", ' + HI + b"}", ""),
    "a list": (b"[]", "object"),
    "a text": (b'"x"', "object"),
    "null": (b"null", "object"),
    "a number": (b"5", "object"),
    "a form": (b"model=m&messages=x", "byte 0"),
    "deep lists": (b'{"model": "m", "messages": ' + b"[" * 100_000, ""),
    "deep lists that end": (b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
    "deep objects": (b'{"a":' * 100_000, ""),
    "deep in an unknown field": (b'{"model": "m", ' + HI + b', "x": ' + b"[" * 5000 + b"]" * 5000 + b"}", "deep"),
    "NaN": (b'{"model": "any/x", "temperature": NaN, ' + HI + b"}", "byte"),
    "Infinity": (b'{"model": "any/x", "temperature": -Infinity, ' + HI + b"}", "byte"),
    "a leading zero": (b'{"model": "any/x", "n": 01, ' + HI + b"}", "byte"),
    "half a surrogate pair": (b'{"model": "any/x", "messages": [{"content": "\\ud800!"}]}', "surrogate"),
    "half a surrogate pair in a key": (b'{"\\udfff": 1}', "surrogate"),
    "NUL": (b'{"model": "any/x\x00", ' + HI + b"}", ""),
}


@pytest.mark.parametrize("case", NOT_JSON, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
def test_what_is_no_json_is_refused_with_its_place(
    case: str, path: str, gateway: Serving, upstream: FaultServer
) -> None:
    body, says = NOT_JSON[case]
    asked = len(upstream.requests)
    answer = gateway.ask("POST", path, body)
    check_refusal(answer)
    assert says in answer.error["message"], answer.error
    assert len(upstream.requests) == asked


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model": "any/x", "messages": ' + b"[" * 100_000, "messages"),
        (b'{"model": "any/x", ' + HI + b', "a \\" [": ' + b'{"b":' * 5000 + b"1" + b"}" * 5000 + b"}", 'a \\" ['),
        (b'{"x": {"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}}", "x"),
        (b'{"model": "' + b'\\"' * 100_000 + b'", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}", None),
        (b"[" * 100_000, None),
    ],
    ids=["messages", "a-field-with-odd-letters", "within", "far-from-the-beginning", "no-object"],
)
def test_the_field_that_is_too_deep_is_named(
    body: bytes, param: str | None, gateway: Serving, upstream: FaultServer
) -> None:
    asked = len(upstream.requests)
    answer = gateway.post(body)
    check_refusal(answer)
    assert answer.error["param"] == param
    assert len(upstream.requests) == asked


# C8, C9, C10: JSON that is none of ours

WRONG: list[tuple[dict[str, Any] | bytes, str | None]] = [
    ({"messages": []}, "model"),
    ({"model": None, "messages": []}, "model"),
    ({"model": 5, "messages": []}, "model"),
    ({"model": ["any/x"], "messages": []}, "model"),
    ({"model": "", "messages": []}, "model"),
    ({"model": "x" * 10_000, "messages": []}, "model"),
    ({"model": "any/\u202ex", "messages": []}, "model"),
    ({"model": "any/\x00x", "messages": []}, "model"),
    ({"model": "any/x"}, "messages"),
    ({"model": "any/x", "messages": 5}, "messages"),
    ({"model": "any/x", "messages": None}, "messages"),
    ({"model": "any/x", "messages": {}}, "messages"),
    ({"model": "any/x", "messages": "hi"}, "messages"),
    ({"n": "x"}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": 10**30}, "n"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": [1]}, "temperature"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream_options": []}, "stream_options"),
    ({"tools": {}}, "tools"),
    ({"tools": "f"}, "tools"),
    ({"tool_choice": 5}, "tool_choice"),
    ({"stop": 5}, "stop"),
    ({"user": 5}, "user"),
    ({"metadata": []}, "metadata"),
    ({"logit_bias": []}, "logit_bias"),
    ({"response_format": "json"}, "response_format"),
    ({"timeout": "long"}, "timeout"),
    ({"timeout": -1}, "timeout"),
    ({"request_timeout": "long"}, "request_timeout"),
    ({"timeout": None, "request_timeout": -1}, "request_timeout"),
    ({"stream_timeout": "long"}, "stream_timeout"),
    ({"num_retries": -1}, "num_retries"),
    ({"max_retries": "x"}, "max_retries"),
    ({"num_retries": 1e9}, "num_retries"),
    ({"fallbacks": "x"}, "fallbacks"),
    ({"fallbacks": [5]}, "fallbacks[0]"),
    ({"tags": "x"}, "tags"),
    ({"metadata": {"tags": 5}}, "metadata.tags"),
    (b'{"model": "any/x", "temperature": 1e999, ' + HI + b"}", "temperature"),
    (b'{"model": "any/x", "n": 1e999, ' + HI + b"}", "n"),
]


@pytest.mark.parametrize(("body", "param"), WRONG, ids=[f"{number}-{param}" for number, (_, param) in enumerate(WRONG)])
def test_a_field_of_the_wrong_type_is_named(
    body: dict[str, Any] | bytes, param: str | None, gateway: Serving, upstream: FaultServer
) -> None:
    if isinstance(body, dict) and "model" not in body and "messages" not in body:
        body = chat_body(model="any/x") | body
    asked = len(upstream.requests)
    answer = gateway.post(body)
    check_refusal(answer)
    assert answer.error["param"] == param
    assert len(upstream.requests) == asked


@pytest.mark.parametrize(
    "text",
    [
        b'"\\u0000"',
        '"\u202eabc\u2066"'.encode(),
        b'"\\ud83c\\udf89"',
        b'"' + b"a" * 1_000_000 + b'"',
    ],
    ids=["nul", "bidi", "pair", "long"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_odd_texts_travel_as_they_are(
    text: bytes, stream: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(sse("ok") if stream else chat("ok"))
    body = b'{"model": "any/%b", "stream": %b, "messages": [{"role": "user", "content": %b}]}'
    answer = gateway.post(body % (name.encode(), b"true" if stream else b"false", text))
    assert answer.status == 200
    assert text in upstream.requests[-1].body


@pytest.mark.parametrize("field", [b'"x_number": 1e999', b'"x_number": 123456789012345678901234567890', b'"x": -0'])
def test_unknown_numbers_travel_as_they_are(field: bytes, gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(chat("ok"))
    answer = gateway.post(b'{"model": "any/%b", %b, %b}' % (name.encode(), field, HI))
    assert answer.status == 200
    assert field.replace(b": ", b":") in upstream.requests[-1].body


def test_of_a_key_that_comes_twice_the_last_counts(gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(chat("ok"))
    body = b'{"model": "nobody", "model": "any/%b", "top_p": 0.1, %b, "top_p": 0.2}'
    assert gateway.post(body % (name.encode(), HI)).status == 200
    sent = upstream.requests[-1].body
    assert sent.count(b'"top_p"') == sent.count(b'"model"') == 1
    assert json.loads(sent)["top_p"] == 0.2


# C7: bodies that are too large, or lie about it


@pytest.mark.parametrize(
    "headers",
    [b"content-length: 100000000\r\n", b"transfer-encoding: chunked\r\n"],
    ids=["by-its-length", "without-length"],
)
def test_a_body_of_100_mb_is_refused_early(headers: bytes, either: Serving) -> None:
    """Refused, and the connection closed, long before it has arrived."""
    with socket.create_connection((either.host, either.port)) as sock:
        id = f"large-{headers[:7].decode()}"
        head = request(either, b"", id).replace(b"content-length: 0\r\n", headers)
        sock.sendall(head)
        sent = 0
        chunk = b"x" * 65536
        piece = b"10000\r\n" + chunk + b"\r\n" if b"chunked" in headers else chunk
        sock.settimeout(20)
        if b"chunked" in headers:
            try:
                while sent < 100_000_000:
                    sock.sendall(piece)
                    sent += len(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert 32 << 20 <= sent < 60_000_000
        else:
            got = receive(sock, b'"}}') + sock.recv(1)
            assert b" 413 " in got.split(b"\r\n")[0]
            assert b"request_too_large" in got
            assert b"connection: close" in got.lower()
    line = either.line_of(id)
    assert (line["status"], line["error"]) == (413, "request_too_large")


def test_a_body_that_is_shorter_than_it_says(gateway: Serving, upstream: FaultServer) -> None:
    asked = len(upstream.requests)
    with socket.create_connection((gateway.host, gateway.port)) as sock:
        sock.sendall(request(gateway, b"{}", "short", length=1000))
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(20)
        sock.recv(65536)
    assert gateway.line_of("short")["left"] is True
    assert len(upstream.requests) == asked


def test_a_compressed_body_is_not_taken(gateway: Serving) -> None:
    answer = gateway.ask("POST", "/v1/chat/completions", b"\x1f\x8b", {"content-encoding": "gzip"})
    check_refusal(answer, 415)


# C14: methods and paths


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("BREW", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/nothing", 404, "not_found_error"),
        ("POST", "//v1/chat/completions", 404, "not_found_error"),
        ("POST", "/v1//chat/completions", 404, "not_found_error"),
        ("POST", "/v1/chat%2fcompletions/x", 404, "not_found_error"),
        ("POST", "/v1/chat/completions/", 404, "not_found_error"),
        ("GET", "/v1%2Fmodels", 404, "not_found_error"),
        ("POST", "/v1%2fchat%2Fcompletions", 404, "not_found_error"),
        ("POST", "/v1/chat%252Fcompletions", 404, "not_found_error"),
        ("POST", "/v1/../v1/x", 404, "not_found_error"),
        ("POST", "/%00", 404, "not_found_error"),
    ],
)
def test_methods_and_paths(method: str, path: str, status: int, slug: str, gateway: Serving) -> None:
    answer = gateway.ask(method, path, {} if method == "POST" else None)
    check_refusal(answer, status, slug)
    assert ("allow" in answer.headers) is (status == 405)
    line = gateway.line(answer)
    assert line["route"] in ("/v1/chat/completions", "/v1/models", "unknown")


@pytest.mark.parametrize("id", ["x" * 129, "two words", "a;b", "caf\xe9", "", "<script>"])
def test_a_request_id_that_is_none_is_replaced(id: str, gateway: Serving) -> None:
    answer = gateway.get("/v1/models", {"x-request-id": id})
    assert len(answer.headers["x-request-id"].removeprefix("req_")) == 32


@pytest.mark.parametrize(
    "headers",
    [
        b"x-long: " + b"y" * 70_000 + b"\r\n",
        b"".join(b"x-%d: " % number + b"y" * 2000 + b"\r\n" for number in range(40)),
        (b"x-same: " + b"y" * 2000 + b"\r\n") * 40,
        b"".join(b"x-%d: y\r\n" % number for number in range(101)),
    ],
    ids=["one", "together", "of-one-name", "too-many"],
)
def test_a_head_that_is_too_large_at_once(headers: bytes, either: Serving, upstream: FaultServer, name: str) -> None:
    """C11: granian measures what is incomplete, and uvicorn does not measure."""
    asked = len(upstream.requests)
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(request(either, chat_body(model=f"any/{name}"), name, headers))
        sock.settimeout(20)
        assert b" 431 " in receive(sock, b"\r\n").split(b"\r\n")[0]
    assert len(upstream.requests) == asked


def test_a_head_of_60_kb_is_taken(either: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(chat("ok"))
    assert either.post(chat_body(model=f"any/{name}"), {"x-long": "y" * 60_000}).status == 200


@pytest.mark.parametrize("chunks", [b"zz\r\nhello", b"5\nhello\n0\n\n", b"fffffffffffffffff\r\nx", b"-1\r\n\r\n"])
def test_chunks_that_are_none(chunks: bytes, either: Serving, upstream: FaultServer, name: str) -> None:
    """C12: 400, and nothing more is read from that connection."""
    asked = len(upstream.requests)
    head = request(either, b"", name).replace(b"content-length: 0", b"transfer-encoding: chunked")
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(head + chunks)
        sock.settimeout(20)
        got = receive(sock, b"to the end")
        assert b" 400 " in got.split(b"\r\n")[0]
        assert got.count(b"HTTP/1.1 ") == 1
    assert len(upstream.requests) == asked


@pytest.mark.parametrize("encoding", [b"gzip, chunked", b"identity, chunked"])
def test_a_transfer_encoding_that_nobody_undoes(
    encoding: bytes, either: Serving, upstream: FaultServer, name: str
) -> None:
    asked, body = len(upstream.requests), json.dumps(chat_body(model=f"any/{name}")).encode()
    head = request(either, b"", name).replace(b"content-length: 0", b"transfer-encoding: " + encoding)
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        sock.settimeout(20)
        assert b" 400 " in receive(sock, b"\r\n").split(b"\r\n")[0]
    assert len(upstream.requests) == asked


def test_head_and_options(gateway: Serving) -> None:
    answer = gateway.ask("OPTIONS", "/v1/models")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS", b"")
    for path in ("/v1/models", "/health/readiness", "/v1/models/any/x", "/v1/models/nothing"):
        asked, seen = gateway.ask("GET", path), gateway.ask("HEAD", path)
        assert (seen.status, seen.headers["content-length"], seen.body) == (asked.status, str(len(asked.body)), b"")


@pytest.mark.parametrize("model", ["any/one", "any%2Fone", "any%2fone", "%61ny/one"])
def test_a_model_in_the_path_may_have_slashes(model: str, either: Serving) -> None:
    answer = either.get(f"/v1/models/{model}")
    assert (answer.status, answer.json["id"]) == (200, "any/one")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
def test_a_request_of_very_many_fields_is_refused(path: str, gateway: Serving, name: str) -> None:
    fields = {f"field-{number}": number for number in range(300)}
    answer = gateway.ask("POST", path, chat_body(model=f"any/{name}", prompt="x", input="x", max_tokens=1, **fields))
    assert (answer.status, "fields" in answer.error["message"]) == (400, True)


# C21


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": True}, {"x": 1}])
def test_usage_is_always_known_and_shown_only_to_who_asked(
    options: Any, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(sse("ok"))
    answer = gateway.post(chat_body(model=f"any/{name}", stream=True, stream_options=options))
    assert json.loads(upstream.requests[-1].body)["stream_options"] == {**(options or {}), "include_usage": True}
    wanted = bool(options and options.get("include_usage"))
    assert any(json.loads(one).get("usage") for one in answer.events[:-1]) is wanted
    assert gateway.line(answer)["completion_tokens"] == 3


# X5, X8, X9

STEERING = (
    "api_base api_key base_url client_cert custom_llm_provider extra_headers headers organization proxy ssl_verify "
    "api_version model_list"
).split()


@pytest.mark.parametrize("field", STEERING)
@pytest.mark.parametrize("place", ["body", "fallback"])
def test_a_caller_never_says_whom_to_call(
    field: str, place: str, gateway: Serving, upstream: FaultServer, spare: FaultServer
) -> None:
    asked = len(upstream.requests), len(spare.requests)
    value = {"x": "y"} if field == "extra_headers" else spare.url
    given = {field: value} if place == "body" else {"fallbacks": [{"model": "spare/x", field: value}]}
    answer = gateway.post(chat_body(model="any/x", **given))
    check_refusal(answer)
    assert (len(upstream.requests), len(spare.requests)) == asked


@pytest.mark.parametrize(
    "model", ["http://evil.test/v1", "openai/gpt-5", "poe/x", "custom_openai/up", "../m", "any/../x"]
)
def test_a_models_name_is_no_address(model: str, gateway: Serving, upstream: FaultServer) -> None:
    upstream.play(chat("ok"))
    asked = len(upstream.requests)
    answer = gateway.post(chat_body(model=model))
    if model == "any/../x":  # a name like any other, in the body and not in the path
        assert (answer.status, upstream.requests[-1].path) == (200, "/chat/completions")
        return
    check_refusal(answer, 404, "model_not_found")
    assert len(upstream.requests) == asked


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer {KEY}"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"api-key": KEY}, 200),
        ({"x-litellm-api-key": f"Bearer {KEY}"}, 200),
        ({"authorization": f"Bearer {KEY}", "x-api-key": KEY}, 200),
        ({"authorization": f"Bearer {KEY}", "x-api-key": "sk-another-0123456789"}, 401),
        ({"authorization": "Bearer sk-another-0123456789", "x-api-key": KEY}, 401),
        ({"authorization": f"Bearer {KEY}", "api-key": ""}, 401),
        ({"authorization": f"Bearer {KEY}x"}, 401),
        ({"authorization": f"Bearer {KEY[:-1]}"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": ""}, 401),
        ({"x-api-key": "\xe9"}, 401),
        ({}, 401),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/nothing", "/health"])
def test_one_extractor_for_all_headers(headers: dict[str, str], status: int, path: str, gateway: Serving) -> None:
    connection = gateway.connection()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if path == "/v1/nothing" and status == 200:
        assert answer.status == 404
        return
    assert answer.status == status
    if status == 401:
        error = json.loads(body)["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "401")
        assert KEY not in body.decode()


def test_the_gateway_lives(either: Serving, upstream: FaultServer, name: str) -> None:
    """After all that, in the processes that it began with."""
    upstream.play(chat("still here"))
    assert either.post(chat_body(model=f"any/{name}")).status == 200
    assert either.process.poll() is None
    assert not any("worker" in line and "ended" in line for line in either.told)
