"""Secrets do not leave: neither those that are known nor what looks like one (X14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoth.call import Row
from quoth.gateway.redact import Redactor, hosts_of, secrets_of
from quoth.gateway.settings import Entry, Network, Quoth, Settings

KEY = "q7Zk3vN8xLr2Tm5W"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Incorrect API key provided: sk-proj-AbCdEf123456.", "Incorrect API key provided: [key]."),
        ("Authorization: Bearer abc.DEF-123456", "Authorization: Bearer [key]"),
        ("authorization: BEARER abcdef123456\r\nhost: x", "authorization: BEARER [key]\r\nhost: x"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic [key]"),
        ("x-api-key: 8f14e45fceea167a", "x-api-key: [key]"),
        ('{"api_key": "8f14e45fceea167a", "n": 1}', '{"api_key": "[key]", "n": 1}'),
        (r"{\"password\": \"hunter2hunter2\"}", r"{\"password\": \"[key]\"}"),
        ("postgresql://quoth:s3cret@db.local:5432/q", "postgresql://[key]@db.local:5432/q"),
        ("http://proxy-user@proxy:3128", "http://[key]@proxy:3128"),
        ("https://h/v1?api_key=x1&n=2", "https://h/v1?api_key=[key]&n=2"),
        ("https://h/f.png?X-Amz-Signature=0a1b&x=1", "https://h/f.png?X-Amz-Signature=[key]&x=1"),
        ("Cookie: session=abc; theme=dark\nnext", "Cookie: [key]\nnext"),
        ("set-cookie: a=b; Path=/", "set-cookie: [key]"),
        ("gsk_abcdefghij0123456789 hf_abcdefghij0123456789", "[key] [key]"),
        ("xoxb-1234567890-abcdefghijk and AKIAIOSFODNN7EXAMPLE", "[key] and [key]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "[key]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[key]"),
    ],
)
def test_what_has_the_shape_of_a_secret(text: str, clean: str):
    assert Redactor()(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "Missing bearer authentication in header",
        "max_tokens: 128000 is too large; the model allows 64000",
        "The model claude-opus-4.6 does not exist",
        "token limit exceeded: 200000 > 128000",
        "risk-assessment-2026 and task-force-123456",
        "api_key: it is missing",
        "basic understanding",
        "https://api.poe.com/v1/chat/completions?model=gpt-5.2",
        "password: it is too short",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert Redactor()(text) == text


def test_known_keys_go_whatever_they_look_like():
    redact = Redactor([KEY, KEY + "-longer", "p@ss/word:1"])
    assert redact(f"got <{KEY}> and {KEY}-longer") == "got <[key]> and [key]"
    assert redact("at p%40ss%2Fword%3A1 or p@ss/word:1") == "at [key] or [key]"
    assert redact.data(f"\xff{KEY}".encode("latin-1")) == b"\xff[key]"
    assert redact.value({"a": [f"x {KEY}"], "api_key": "short", "n": 5}) == {
        "a": ["x [key]"],
        "api_key": "[key]",
        "n": 5,
    }


def test_bytes_without_a_secret_are_the_same_bytes():
    data = b'{"error": {"message": "no such model"}}\xff'
    assert Redactor([KEY]).data(data) is data


def test_words_that_serve_as_keys_do_not_black_out_texts():
    assert Redactor(["none", "anything", ""])("none of it, or anything") == "none of it, or anything"


def test_secrets_of_settings_and_environment():
    settings = Settings(
        models=(
            Entry(
                "a", {"model": "poe/x", "api_key": "key-of-model-a1", "extra_headers": {"X-Auth": "Bearer deep-0123"}}
            ),
        ),
        master_key="master-key-0123456",
        network=Network(proxy="http://user:proxy-pass1@proxy:3128"),
        environment={"ACME_API_KEY": "key-of-acme-9"},
        quoth=Quoth(providers=(Row("acme", "https://acme.example", headers={"api-key": "row-header-77"}),)),
    )
    environment = {"POE_API_KEY": "poe-key-1234", "REDIS_URL": "redis://:redis-pass1@r:6379", "HOME": "/home/somebody1"}
    assert secrets_of(settings, environment) >= {
        "key-of-model-a1",
        "deep-0123",
        "master-key-0123456",
        "proxy-pass1",
        "key-of-acme-9",
        "row-header-77",
        "poe-key-1234",
        "redis-pass1",
    }
    assert "/home/somebody1" not in secrets_of(settings, environment)


def test_hosts_of_ones_own_are_masked():
    settings = Settings(
        models=(
            Entry("a", {"model": "vllm/x", "api_base": "http://gpu-7.internal:8000/v1"}),
            Entry("b", {"model": "poe/x"}),
        )
    )
    assert hosts_of(settings) == {"gpu-7.internal:8000"}
    redact = Redactor(hosts=hosts_of(settings))
    assert redact("no route to http://GPU-7.internal:8000/v1") == "no route to http://[host]/v1"
    assert redact("agpu-7.internal:8000") == "agpu-7.internal:8000"


@given(st.text())
def test_twice_is_as_once(text: str):
    redact = Redactor([KEY])
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        *("sk-", "Bearer ", "://a:", "eyJaaaaaaaa.", "api_key=", "cookie:", "?key=", "-----BEGIN ", "basic AAAA"),
        *("-eyJ", "pk-", "token=&", "bearer,token=,", "secret: ", "x-amz-", "token ", "a.eyJaaaaaaaa"),
    ],
)
def test_long_texts_take_time_in_proportion(piece: str):
    """X23: were any pattern quadratic, a text of this length would take longer than a test may."""
    Redactor([KEY])(piece * (1_000_000 // len(piece)))
