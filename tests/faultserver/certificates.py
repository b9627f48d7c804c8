"""Certificates for the fault server, made once per process and only when a server asks for TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal

import trustme

__all__ = ["Certificate", "authority_pem", "server_context"]

# What the server shows: a good certificate, one that ran out yesterday, one made out to another host, or one that an
# authority vouches for whom nobody knows.
Certificate = Literal["good", "expired", "wrong-host", "stranger"]


@cache
def _authority() -> trustme.CA:
    return trustme.CA(organization_name="Quoth's fault server")


def authority_pem() -> bytes:
    """The certificate that a client must trust."""
    return _authority().cert_pem.bytes()


@cache
def server_context(certificate: Certificate) -> ssl.SSLContext:
    names = ("elsewhere.test",) if certificate == "wrong-host" else ("127.0.0.1", "localhost")
    end = datetime.now(UTC) + timedelta(days=-1 if certificate == "expired" else 1)
    authority = trustme.CA(organization_name="Somebody") if certificate == "stranger" else _authority()
    leaf = authority.issue_cert(*names, not_before=end - timedelta(days=9), not_after=end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context
