"""Where an address leads: to everybody's internet, or into a network that is somebody's own.

An address of IPv6 that stands for one of IPv4 (mapped, translated, 6to4, NAT64, Teredo, ISATAP, compatible) leads
where that one does. Of all others the public internet's are those that are given out as such, 2000::/3: what lies
beyond is local or nobody's, and Python's own lists of it differ by version. A host written as a number in any other way
than four decimal parts is none: programs read 017700000001 differently.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from quoth.transport.ports import TransportFailure

__all__ = ["is_public", "public_address"]

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_WITHIN = (IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"), _NAT64[0])  # compatible, translated (SIIT), NAT64
_GIVEN_OUT = IPv6Network("2000::/3")
# Within what is given out or looks like it, but for documents and protocols, whatever Python's version knows of it.
_NOBODYS = (IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20"), IPv6Network("2001:db8::/32"))
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of such an interface's name
# Answers a machine in a cloud about itself, though its address is a public one.
_METADATA = IPv4Address("168.63.129.16")
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
    inner = _within(address) if isinstance(address, IPv6Address) else None
    # How an address is written that stands for another may be local; where it leads is not.
    return _is_open(address if inner is None else inner)


def _is_open(address: IPv4Address | IPv6Address) -> bool:
    if not address.is_global or address.is_multicast or address == _METADATA:
        return False
    if any(address in network for network in _NOBODYS):
        return False
    if isinstance(address, IPv4Address):
        return True
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP and not _is_open(_last_32_bits(address)):
        return False
    return address in _GIVEN_OUT


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)


def _within(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _WITHIN):
        return _last_32_bits(address)
    if address in _NAT64[1]:
        return IPv4Address(0)  # where its owner's network puts the rest is the owner's business
    return None
