"""Which hosts are those of the public internet; that the address that was looked at is the one that is called."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from typing import Any

import pytest

from quoth.call import WireRequest
from quoth.errors import APIError, BadRequestError
from quoth.transport.aio import AsyncioTransport
from quoth.transport.download import Download, adownloaded
from quoth.transport.network import Network
from quoth.transport.ports import Deadline, TransportFailure
from quoth.transport.reach import is_public, public_address
from tests.faultserver import FaultServer, answer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
REFUSED = """
    127.0.0.1 127.1 2130706433 0x7f000001 0x7f.1 017700000001 0177.0.0.1 0.0.0.0 0 10.0.0.1 172.16.0.1 192.168.1.1
    169.254.169.254 100.64.0.1 100.100.100.200 168.63.129.16 192.0.0.192 192.0.2.1 198.18.0.1 224.0.0.1 255.255.255.255
    ::1 :: fe80::1 fd00::1 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::127.0.0.1
    2002:7f00:1:: 2002:a9fe:a9fe:: 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::808:808 2001:db8::1 localhost
    localhost.localdomain.invalid [::1] fec0::1 ::ffff:0:127.0.0.1 ::ffff:0:a9fe:a9fe ::fffe:7f00:1 64:ff9b::1:7f00:1
    5f00::1 3fff::1 4000::1 2001:0:a9fe:a9fe::1 2001:0:4136:e378:8000:63bf:80ff:fffe 192.0.0.8 192.0.0.170
    2606:4700::5efe:7f00:1 2606:4700::200:5efe:10.0.0.1
""".split()


@pytest.mark.parametrize("host", REFUSED)
def test_private_hosts(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]
)
def test_public_hosts(host: str) -> None:
    assert is_public(host)
    assert public_address(host) == host


def run(work: Callable[[AsyncioTransport], Any], addresses: Callable[[str], str]) -> Any:
    async def all_of_it() -> Any:
        transport = AsyncioTransport(Network(proxy="http://127.0.0.1:1"), dict, addresses)
        try:
            return await work(transport)
        finally:
            await transport.aclose()

    return asyncio.run(all_of_it())


async def opened(transport: AsyncioTransport, url: str) -> bytes:
    deadline = Deadline(connect=5, first=5, idle=5, end=time.monotonic() + 5)
    reply = await transport.open(WireRequest("GET", url, {}), deadline)
    found = b""
    while piece := await reply.read():
        found += piece
    reply.close()
    return found


def test_the_address_that_was_looked_at_is_called() -> None:
    """Whatever the name would lead to a moment later; without a proxy, which would look it up anew."""
    asked = []

    def addresses(host: str) -> str:
        asked.append(host)
        return "127.0.0.1"

    with FaultServer() as server:
        server.play(answer(b"{}"))
        port = server.url.rpartition(":")[2]
        got = run(lambda transport: opened(transport, f"http://raven.invalid:{port}/x"), addresses)
        assert got == b"{}"
        assert server.requests[0].headers["host"] == f"raven.invalid:{port}"
    assert asked == ["raven.invalid"]


def test_a_private_host_is_not_called() -> None:
    with FaultServer() as server:
        server.play(answer(b"{}"))
        with pytest.raises(TransportFailure, match="no host of the public internet") as caught:
            run(lambda transport: opened(transport, server.url), public_address)
        assert caught.value.kind == "refused"
        assert not server.requests


def fetched(url: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    download = Download(url, sink=sink, end=time.monotonic() + 10, follows=False, **options)
    run(lambda transport: adownloaded(download, transport), lambda host: "127.0.0.1")
    return sink.getvalue()


def test_what_may_come() -> None:
    with FaultServer() as server:
        url = server.url.replace("127.0.0.1", "raven.invalid")
        server.play_once(answer(PNG, content_type="text/html"))
        assert fetched(url, kind="image") == PNG, "the bytes say what it is, not the header"
        server.play_once(answer(b"<html>" + bytes(100), content_type="image/png"))
        with pytest.raises(APIError, match="is no image"):
            fetched(url, kind="image")
        server.play_once(answer(PNG))
        with pytest.raises(APIError, match="not audio"):
            fetched(url, kind="audio")
        server.play_once(answer(PNG))
        with pytest.raises(APIError, match="larger than 100 bytes"):
            fetched(url, kind="image", max_bytes=100)
        server.play_once(answer(PNG).framed("chunked"))
        with pytest.raises(APIError, match="larger than 100 bytes"):
            fetched(url, kind="image", max_bytes=100)
        server.play_once(answer(b"", 302).headed(location="http://127.0.0.1/"))
        with pytest.raises(APIError, match="redirects"):
            fetched(url, kind="image")


def test_a_private_address_is_the_callers_mistake() -> None:
    download = Download("http://169.254.169.254/latest", sink=io.BytesIO(), end=time.monotonic() + 10, param="image")
    with pytest.raises(BadRequestError, match="no host of the public internet") as caught:
        run(lambda transport: adownloaded(download, transport), public_address)
    assert caught.value.param == "image"
