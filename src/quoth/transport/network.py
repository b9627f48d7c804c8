"""How the outside is reached: through which proxy, trusting which certificates. Settings first, then the usual
variables."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from os import PathLike, fspath
from os.path import isdir
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from quoth.transport.ports import TransportFailure

__all__ = ["Network", "Proxy", "context_for", "proxy_for", "split"]


class Network(Struct, frozen=True):
    """`proxy`: a URL for everything but loopback. `ssl_verify`: True, False, or the path of a CA file or folder.

    `client_cert`: the path of a PEM file, or of a certificate and its key.
    """

    proxy: str | None = None
    ssl_verify: bool | str = True
    client_cert: str | tuple[str, str] | None = None


class Proxy(Struct, frozen=True):
    """`url` without its user; `authorization` is the value of Proxy-Authorization, or None."""

    scheme: str
    host: str
    port: int
    authorization: str | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@lru_cache(maxsize=512)
def split(url: str) -> tuple[SplitResult, str, int]:
    """The parts of a URL, its host as it goes on the wire, its port. Raises TransportFailure."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    try:
        host = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise TransportFailure("dns", f"{name!a} is not the name of a host: {error}") from None
    return parts, host, parts.port or (443 if parts.scheme == "https" else 80)


def proxy_for(url: str, network: Network, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for a URL, never one for loopback. Raises TransportFailure for a malformed one."""
    parts, host, port = split(url)
    if _is_loopback(host):
        return None
    if network.proxy is not None:
        return _parsed("proxy", network.proxy)
    proxies = _from_environment(environment, parts.scheme)
    if proxies is None:
        return None
    if _bypassed(host, port, environment.get("no_proxy") or environment.get("NO_PROXY") or ""):
        return None
    return _parsed(*proxies)


@lru_cache(maxsize=512)
def _is_loopback(host: str) -> bool:
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _bypassed(host: str, port: int, patterns: str) -> bool:
    """NO_PROXY as curl reads it: names with everything below them, addresses, networks, a port after any of them, "*"
    for all."""
    for pattern in patterns.lower().replace(",", " ").split():
        name, _, wanted = pattern.rpartition(":")
        if name and wanted.isdigit() and ":" not in name:
            if int(wanted) != port:
                continue
            pattern = name
        pattern = pattern.removeprefix("*.").strip("[].")
        if pattern == "*" or host == pattern or host.endswith(f".{pattern}") or _within(host, pattern):
            return True
    return False


def _within(host: str, network: str) -> bool:
    if "/" not in network:
        return False
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _from_environment(environment: Mapping[str, str], scheme: str) -> tuple[str, str] | None:
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        value = environment.get(name)
        if value and value.strip():
            return name, value.strip()
    return None


def _parsed(source: str, value: object) -> Proxy:
    if not isinstance(value, str):
        raise TransportFailure("proxy", f"{source} is not the URL of a proxy: it is of type {type(value).__name__}")
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
    except ValueError as error:
        raise TransportFailure("proxy", f"{source} is not the URL of a proxy: {error}") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https"):
        raise TransportFailure("proxy", f"{source} is not the URL of a proxy: {parts.scheme!r} is not http or https")
    if not host.isascii() or not host.isprintable() or not host or " " in host:
        raise TransportFailure("proxy", f"{source} is not the URL of a proxy: {host!a} names no host")
    authorization = None
    if parts.username is not None:
        from base64 import b64encode

        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + b64encode(pair.encode()).decode("ascii")
    default = 443 if parts.scheme == "https" else 80
    return Proxy(parts.scheme, host, port or default, authorization)


def context_for(network: Network, environment: Mapping[str, str]) -> ssl.SSLContext:
    """The TLS settings. Raises TransportFailure when a setting or a file named in one cannot be used."""
    verify, source = network.ssl_verify, "ssl_verify"
    if isinstance(verify, PathLike):
        verify = fspath(verify)
    # Nothing but a plain False switches checking off: None is a setting that somebody forgot.
    if not isinstance(verify, bool | str):
        raise TransportFailure("tls", f"ssl_verify is {verify!r}; it has to be True, False or a path")
    if verify is True:
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"):
            if value := environment.get(name, "").strip():
                verify, source = value, name
                break
    cert = network.client_cert
    return _context(verify, source, tuple(cert) if isinstance(cert, list) else cert)


@lru_cache(maxsize=32)
def _context(verify: bool | str, source: str, client_cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    try:
        if isinstance(verify, str):
            is_folder = isdir(verify)
            context = ssl.create_default_context(
                cafile=None if is_folder else verify, capath=verify if is_folder else None
            )
        else:
            context = ssl.create_default_context()
    except (OSError, ValueError) as error:
        raise TransportFailure("tls", f"{source} {verify!r} cannot be used: {error}") from None
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        try:
            certificate, key = client_cert if isinstance(client_cert, tuple) else (client_cert, None)
            # The empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, TypeError, ValueError) as error:
            raise TransportFailure("tls", f"client_cert {client_cert!r} cannot be used: {error}") from None
    return context
