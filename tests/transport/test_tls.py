"""Certificates: which are trusted, by which setting, and what is said when a setting is wrong."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from quoth import errors
from tests.faults.harness import Caller, clean, upstream
from tests.faultserver import FaultServer, chat, sse

pytestmark = pytest.mark.timeout(30)

GOOD = {False: chat("safe"), True: sse("safe")}


@pytest.fixture
def site(stream: bool) -> Iterator[FaultServer]:
    with FaultServer(tls=True) as server:
        server.play(GOOD[stream])
        yield server
        clean(server)


def ask(caller_type: type[Caller], server: FaultServer, stream: bool, **settings: Any) -> str:
    with caller_type(base_url=server.url, **settings) as caller:
        return caller.ask(stream=stream).text


def test_a_file_of_authorities(caller_type: type[Caller], site: FaultServer, stream: bool):
    assert ask(caller_type, site, stream, ssl_verify=str(site.ca_pem)) == "safe"
    assert ask(caller_type, site, stream, ssl_verify=site.ca_pem) == "safe"


def test_an_empty_folder_trusts_nobody(caller_type: type[Caller], site: FaultServer, stream: bool, tmp_path: Path):
    with pytest.raises(errors.APIConnectionError, match="certificate"):
        ask(caller_type, site, stream, ssl_verify=str(tmp_path))


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_authorities_of_the_environment(
    caller_type: type[Caller], site: FaultServer, stream: bool, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, str(site.ca_pem))
    assert ask(caller_type, site, stream) == "safe"
    # Read at each call: it is not remembered.
    monkeypatch.delenv(name)
    with pytest.raises(errors.APIConnectionError, match="certificate"):
        ask(caller_type, site, stream)


def test_a_setting_wins_over_the_environment(
    caller_type: type[Caller], site: FaultServer, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    assert ask(caller_type, site, stream, ssl_verify=str(site.ca_pem)) == "safe"


@pytest.mark.parametrize("certificate", ["good", "expired", "wrong-host"])
def test_checking_can_be_switched_off(caller_type: type[Caller], stream: bool, certificate: Any):
    with upstream(GOOD[stream], tls=certificate) as at, caller_type(base_url=at.url, ssl_verify=False) as caller:
        assert caller.ask(stream=stream).text == "safe"


@pytest.mark.parametrize("value", [None, 0, 1, "", []], ids=repr)
def test_nothing_else_switches_it_off(caller_type: type[Caller], site: FaultServer, stream: bool, value: Any):
    with pytest.raises(errors.APIConnectionError):
        ask(caller_type, site, stream, ssl_verify=value)
    assert not site.requests


@pytest.fixture
def pem(tmp_path: Path) -> Callable[[str, bytes], str]:
    def write(name: str, text: bytes) -> str:
        (tmp_path / name).write_bytes(text)
        return str(tmp_path / name)

    return write


def _wrong(pem: Callable[[str, bytes], str], ca_pem: Path) -> dict[str, tuple[dict[str, Any], str]]:
    leaf = trustme.CA().issue_cert("client.test")
    certificate = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    locked = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    good = {"ssl_verify": str(ca_pem)}
    no_key, garbage = pem("no-key.pem", certificate), pem("garbage.pem", b"hello")
    locked_pair = (pem("c.pem", certificate), pem("locked.pem", locked))
    return {
        "no such file": ({"ssl_verify": "/nowhere/ca.pem"}, "ssl_verify '/nowhere/ca.pem' cannot be used"),
        "not a certificate": ({"ssl_verify": garbage}, f"ssl_verify '{garbage}' cannot be used"),
        "no such client certificate": ({**good, "client_cert": "/nowhere/c.pem"}, "client_cert '/nowhere/c.pem'"),
        "client certificate without a key": ({**good, "client_cert": no_key}, f"client_cert '{no_key}'"),
        "client key with a password": ({**good, "client_cert": locked_pair}, "client_cert ("),
        "too many files": ({**good, "client_cert": [no_key] * 3}, "client_cert ("),
        "a number": ({**good, "client_cert": 5}, "client_cert 5"),
    }


NAMES = [
    "no such file", "not a certificate", "no such client certificate", "client certificate without a key",
    "client key with a password", "too many files", "a number",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.replace(" ", "-"))
def test_a_setting_that_cannot_be_used_is_named(
    caller_type: type[Caller], site: FaultServer, stream: bool, name: str, pem: Callable[[str, bytes], str]
):
    settings, says = _wrong(pem, site.ca_pem)[name]
    with pytest.raises(errors.APIConnectionError) as caught:
        ask(caller_type, site, stream, num_retries=2, **settings)
    assert says in caught.value.message
    assert len(caught.value.attempts) == 1
    assert not site.connections_total


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_variable_that_cannot_be_used_is_named(
    caller_type: type[Caller], site: FaultServer, stream: bool, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "/nowhere/ca.pem")
    with pytest.raises(errors.APIConnectionError, match=f"{name} '/nowhere/ca.pem' cannot be used"):
        ask(caller_type, site, stream)


@pytest.mark.parametrize("files", [1, 2])
def test_a_client_shows_its_certificate(
    caller_type: type[Caller], site: FaultServer, stream: bool, files: int, pem: Callable[[str, bytes], str]
):
    clients = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    clients.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    site._tls = context
    trusted = pem("ca.pem", authority.cert_pem.bytes())
    leaf = clients.issue_cert("client.test")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    if files == 1:
        shown: Any = pem("both.pem", leaf.private_key_and_cert_chain_pem.bytes())
    else:
        shown = (pem("cert.pem", chain), pem("key.pem", leaf.private_key_pem.bytes()))
    assert ask(caller_type, site, stream, ssl_verify=trusted, client_cert=shown) == "safe"
    with pytest.raises(errors.APIConnectionError):
        ask(caller_type, site, stream, ssl_verify=trusted)


def test_a_connection_is_not_shared_by_different_settings(caller_type: type[Caller], stream: bool):
    """What was connected without checking is not used by a call that checks."""
    with upstream(GOOD[stream], tls=True) as at:
        server = at.server
        assert server is not None
        with caller_type(base_url=at.url, ssl_verify=True) as caller:
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("SSL_CERT_FILE", str(server.ca_pem))
                assert caller.ask(stream=stream).text == "safe"
            with pytest.raises(errors.APIConnectionError, match="certificate"):
                caller.ask(stream=stream)
