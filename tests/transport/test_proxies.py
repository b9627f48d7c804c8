"""Through a proxy and past it, over real sockets. No resolver knows these names; only the proxy can reach them."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from quoth import errors
from quoth.transport.network import Network, proxy_for
from tests.faults.harness import KEY, Caller, clean
from tests.faultserver import FaultServer, chat, sse
from tests.transport.proxy import Proxy, proxying

pytestmark = pytest.mark.timeout(30)

GOOD = {False: chat("through"), True: sse("through")}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["http", "https"])
def site(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[FaultServer]:
    """The server behind the proxy, for names under `.test`."""
    with FaultServer(tls=request.param == "https") as server:
        if request.param == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("poe.test", "localhost", "127.0.0.1").configure_cert(context)
            server._tls = context
        yield server
        clean(server)


@pytest.fixture
def trusted(authority: trustme.CA) -> Iterator[str]:
    with authority.cert_pem.tempfile() as path:
        yield path


@pytest.fixture
def through(
    caller_type: type[Caller], site: FaultServer, trusted: str
) -> Iterator[Callable[..., tuple[Caller, Proxy]]]:
    """A proxy that leads to the site, and a caller of http(s)://poe.test that knows of it by `proxy=`."""
    with ExitStack() as opened:

        def make(user: str = "", settings: dict[str, Any] | None = None, **how: Any) -> tuple[Caller, Proxy]:
            proxy = opened.enter_context(proxying(site.port, **how))
            given = {
                "base_url": f"{site.url.partition(':')[0]}://poe.test/v1",
                "proxy": proxy.url.replace("://", f"://{user}"),
                "ssl_verify": trusted,
                **(settings or {}),
            }
            return opened.enter_context(caller_type(**given)), proxy

        yield make


def test_a_name_that_only_the_proxy_knows(
    through: Callable[..., tuple[Caller, Proxy]], site: FaultServer, stream: bool
):
    site.play(GOOD[stream])
    caller, proxy = through()
    for _ in range(3):
        assert caller.ask(stream=stream).text == "through"
    if site.url.startswith("https"):
        assert proxy.asked == ["poe.test:443"]
        # The proxy of a tunnel sees no more than the host.
        assert not any("authorization" in headers for headers in proxy.given)
    else:
        assert proxy.asked[0] == "http://poe.test/v1/chat/completions"
    assert site.connections_total == 1
    (request, *_) = site.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["host"] == "poe.test"
    assert not any(name.startswith("proxy-") for name in request.headers)


def test_a_proxy_over_tls(
    through: Callable[..., tuple[Caller, Proxy]], site: FaultServer, authority: trustme.CA, stream: bool
):
    site.play(GOOD[stream])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    caller, proxy = through(context=context)
    assert caller.ask(stream=stream).text == "through"
    assert len(proxy.asked) == 1


def test_a_proxy_that_wants_a_password(through: Callable[..., tuple[Caller, Proxy]], site: FaultServer, stream: bool):
    site.play(GOOD[stream])
    needs = "Basic " + base64.b64encode(b"me:pass word").decode()
    caller, _ = through(user="me:pass%20word@", needs=needs)
    assert caller.ask(stream=stream).text == "through"


@pytest.mark.parametrize("user", ["", "me:wrong@"])
def test_a_proxy_that_refuses(through: Callable[..., tuple[Caller, Proxy]], site: FaultServer, stream: bool, user: str):
    site.play(GOOD[stream])
    caller, _ = through(user=user, needs="Basic nobody")
    with pytest.raises(errors.APIError, match="407") as caught:
        caller.ask(stream=stream)
    assert "wrong" not in caught.value.message
    assert not site.requests
    if site.url.startswith("https"):
        assert isinstance(caught.value, errors.APIConnectionError)
        assert "proxy" in caught.value.message


def test_a_proxy_that_is_not_there(caller_type: type[Caller], site: FaultServer, stream: bool):
    with proxying(site.port) as proxy:
        url = proxy.url
    with (
        caller_type(base_url=f"{site.url.partition(':')[0]}://poe.test", proxy=url) as caller,
        pytest.raises(errors.APIConnectionError, match="through the proxy"),
    ):
        caller.ask(stream=stream)


def test_a_certificate_that_is_not_trusted_behind_a_proxy(
    through: Callable[..., tuple[Caller, Proxy]], site: FaultServer, stream: bool
):
    if site.url.startswith("http:"):
        return
    caller, _ = through(settings={"ssl_verify": True})
    with pytest.raises(errors.APIConnectionError, match="certificate"):
        caller.ask(stream=stream)
    assert not site.requests


@pytest.mark.parametrize("name", ["SCHEME_PROXY", "scheme_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment(
    through: Callable[..., tuple[Caller, Proxy]],
    site: FaultServer,
    stream: bool,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
):
    site.play(GOOD[stream])
    caller, proxy = through(settings={"proxy": None})
    scheme = site.url.partition(":")[0]
    monkeypatch.setenv(name.replace("SCHEME", scheme.upper()).replace("scheme", scheme), proxy.url)
    assert caller.ask(stream=stream).text == "through"
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_never_goes_through_a_proxy(
    caller_type: type[Caller],
    site: FaultServer,
    trusted: str,
    stream: bool,
    host: str,
    monkeypatch: pytest.MonkeyPatch,
):
    site.play(GOOD[stream])
    with proxying(site.port, refuse=500) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        base = site.url.replace("127.0.0.1", host)
        with caller_type(base_url=base, proxy=proxy.url, ssl_verify=trusted) as caller:
            assert caller.ask(stream=stream).text == "through"
        assert proxy.asked == []


PROXY = "http://proxy.test:3128"
PASSED_BY: list[tuple[str, str, bool]] = [
    ("https://poe.test/v1", "", False),
    ("https://poe.test/v1", "*", True),
    ("https://poe.test/v1", "poe.test", True),
    ("https://poe.test/v1", "POE.TEST", True),
    ("https://poe.test/v1", ".test", True),
    ("https://poe.test/v1", "*.test", True),
    ("https://api.poe.test/v1", "poe.test", True),
    ("https://notpoe.test/v1", "poe.test", False),
    ("https://poe.test/v1", "other.test, poe.test", True),
    ("https://poe.test/v1", "other.test poe.test", True),
    ("https://poe.test/v1", "poe.test:443", True),
    ("https://poe.test/v1", "poe.test:8443", False),
    ("https://poe.test:8443/v1", "poe.test:8443", True),
    ("https://10.1.2.3/v1", "10.0.0.0/8", True),
    ("https://11.1.2.3/v1", "10.0.0.0/8", False),
    ("https://[fd00::1]/v1", "fd00::1", True),
    ("https://[fd00::1]/v1", "fd00::/8", True),
    ("https://127.0.0.1/v1", "", True),
    ("https://127.9.9.9/v1", "", True),
    ("https://[::1]/v1", "", True),
    ("https://localhost/v1", "", True),
    ("https://LOCALHOST./v1", "", True),
    ("https://127.evil.test/v1", "", False),
    ("https://localhost.evil.test/v1", "", False),
]


@pytest.mark.parametrize(("url", "no_proxy", "passed_by"), PASSED_BY)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_who_is_passed_by(url: str, no_proxy: str, passed_by: bool, name: str):
    found = proxy_for(url, Network(), {"HTTPS_PROXY": PROXY, name: no_proxy})
    assert (found is None) is passed_by


def test_what_a_setting_says_wins_over_the_environment():
    found = proxy_for("https://poe.test", Network(proxy="http://mine.test"), {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"})
    assert found is not None
    assert (found.url, found.authorization) == ("http://mine.test:80", None)


def test_a_proxy_without_a_scheme_is_an_http_proxy():
    found = proxy_for("https://poe.test", Network(), {"HTTPS_PROXY": "me:x@proxy.test:3128"})
    assert found is not None
    assert found.url == "http://proxy.test:3128"
    assert re.fullmatch("Basic [A-Za-z0-9+/=]+", found.authorization or "")
