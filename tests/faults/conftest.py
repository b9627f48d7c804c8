from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.faults.harness import CALLERS, Caller, Upstream, clean, upstream
from tests.faultserver import FaultServer


@pytest.fixture(autouse=True)
def no_thread_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever happened, no thread outlives its test."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"threads left behind: {left}"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' environment says nothing about proxies, certificates, keys and rows."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in (
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "QUOTH_PROVIDERS",
        "POE_API_KEY",
        "POE_API_BASE",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A fault server to which, at the end, nobody is connected any more."""
    with FaultServer() as running:
        yield running
        clean(running)


@pytest.fixture(params=CALLERS)
def caller_type(request: pytest.FixtureRequest) -> type[Caller]:
    """The blocking and the asyncio client, one after the other."""
    return CALLERS[request.param]


@pytest.fixture
def another() -> Iterator[Callable[..., Upstream]]:
    """Further fault servers, each with a script that it repeats; nobody stays connected to them either."""
    with ExitStack() as opened:
        yield lambda *steps, **how: opened.enter_context(upstream(*steps, **how))


@pytest.fixture
def calling(caller_type: type[Caller], server: FaultServer, another: Any) -> Iterator[Callable[..., Caller]]:
    """Callers on the fault server, with these settings; closed at the end."""
    with ExitStack() as opened:
        yield lambda **settings: opened.enter_context(caller_type(**{"base_url": f"{server.url}/v1", **settings}))


@pytest.fixture
def caller(calling: Callable[..., Caller]) -> Caller:
    """A caller on the fault server that tries nothing twice."""
    return calling()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request: pytest.FixtureRequest) -> Any:
    return request.param
