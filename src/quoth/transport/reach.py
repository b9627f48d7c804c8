"""Where an address leads: to everybody's internet, or into a network that is somebody's own."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address

__all__ = ["is_public"]


def is_public(host: str) -> bool:
    """True when every address of this host is one of the public internet. False for a name that has none."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(map(_is_public, found))


def _is_public(text: str) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return address.is_global and not address.is_multicast
