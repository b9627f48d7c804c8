"""One gateway for all faults: a process is dear, and what one caller's fault does must not be felt by the next.

Behind wildcards each test has a model of its own, so that no health and no pace is shared: `any/...` is tried once,
`again/...` has its two retries, `spare/...` is at another server. Both servers only where the server matters.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faultserver import FaultServer
from tests.gateway.serving import KEY, SERVERS, UPSTREAM_KEY, Serving, deployment

SPARE_KEY = "spare-key-9876543210"
SECRETS = (KEY, UPSTREAM_KEY, SPARE_KEY)

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="package")
def other() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def upstream(server: FaultServer) -> Iterator[FaultServer]:
    """Of this test alone: what it queued and did not use is forgotten."""
    yield server
    server.forget()


@pytest.fixture
def spare(other: FaultServer) -> Iterator[FaultServer]:
    yield other
    other.forget()


@pytest.fixture
def name() -> str:
    """The rest of a model's name, new for each test."""
    return f"m{next(_numbers)}"


def models(server: FaultServer, other: FaultServer) -> list[dict[str, Any]]:
    return [
        deployment("any/*", server.url, "custom_openai/*", num_retries=0),
        deployment("again/*", server.url, "custom_openai/*", num_retries=2),
        deployment("short/*", server.url, "custom_openai/*", num_retries=0, timeout={"first": 0.2, "idle": 0.2}),
        deployment("spare/*", other.url, "custom_openai/*", api_key=SPARE_KEY, num_retries=0),
    ]


@pytest.fixture(scope="package")
def gateways(
    server: FaultServer, other: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Serving]]:
    """The gateway under one server, started when it is first asked for."""
    started: dict[str, Serving] = {}

    def get(name: str) -> Serving:
        if name not in started:
            serving = Serving(
                tmp_path_factory.mktemp(name),
                models=models(server, other),
                server=name,
                quoth={"log": {"level": "debug"}},
                router_settings={"retry_after": 0},
            )
            started[name] = serving.__enter__()
        return started[name]

    yield get
    for serving in started.values():
        try:
            check_silence(serving)
        finally:
            serving.__exit__(None, None, None)


def check_silence(gateway: Serving) -> None:
    """Whatever happened: no key was written anywhere, and nothing was left to Python to complain about."""
    written = "\n".join((*gateway.log, *gateway.told))
    for secret in SECRETS:
        assert secret not in written, secret
    for complaint in ("Traceback", "was never retrieved", "was destroyed but it is pending", "ResourceWarning"):
        found = complaint in written
        assert not found, written[max(0, written.find(complaint) - 200) :][:4000]


@pytest.fixture
def gateway(gateways: Callable[[str], Serving]) -> Serving:
    return gateways("granian")


@pytest.fixture(params=SERVERS)
def either(request: pytest.FixtureRequest, gateways: Callable[[str], Serving]) -> Serving:
    """The gateway under each server."""
    return gateways(request.param)
