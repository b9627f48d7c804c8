"""Where an address leads: to everybody's internet, or into a network that is somebody's own.

An address of IPv6 that stands for one of IPv4 (mapped, 6to4, NAT64, Teredo, compatible) leads where that one does. A
host written as a number in any other way than four decimal parts is none: programs read 017700000001 differently.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from quoth.transport.ports import TransportFailure

__all__ = ["is_public", "public_address"]

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
# Hosts that answer a machine in a cloud about itself, though their address is a public one.
_METADATA = frozenset({IPv4Address("168.63.129.16"), IPv4Address("192.0.0.192")})
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+))*\.?")
_DOTTED = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")


def is_public(host: str) -> bool:
    """True when every address of this host is one of the public internet. False for a name that has none."""
    try:
        public_address(host)
    except TransportFailure:
        return False
    return True


def public_address(host: str) -> str:
    """An address of this host to connect to, when all that it has are of the public internet. Raises TransportFailure
    of kind "refused" for any other host, "dns" for one that has no address."""
    name = host.strip("[]")
    if _NUMBER.fullmatch(name) and not _DOTTED.fullmatch(name):
        raise TransportFailure("refused", f"{host} is no host of the public internet")
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise TransportFailure("dns", f"{host} has no address: {getattr(error, 'strerror', None) or error}") from None
    if not found or not all(map(_is_public, found)):
        raise TransportFailure("refused", f"{host} is no host of the public internet")
    return found[0]


def _is_public(text: str) -> bool:
    if "%" in text:
        return False  # an address with a zone is of a link
    address: IPv4Address | IPv6Address = ip_address(text)
    if isinstance(address, IPv6Address):
        inner = _within(address)
        if inner is not None and not _is_open(inner):
            return False
        if inner is not None and not address.is_global:
            return True  # how it is written is local, where it leads is not
    return _is_open(address)


def _is_open(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _METADATA


def _within(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64[0] or address in _COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64[1]:
        return IPv4Address(0)  # where its owner's network puts the rest is the owner's business
    return None
