"""The master key: where it comes from, which are too weak to guard anything, and where none is needed."""

from __future__ import annotations

from ipaddress import ip_address

from quoth.gateway.settings.document import Node
from quoth.gateway.settings.problems import NOWHERE, Place, Problem, Problems
from quoth.gateway.settings.secrets import Variables, is_placeholder

__all__ = ["SHORTEST", "apart", "exposure", "loopback", "master_key", "weakness"]

SHORTEST = 16
_VARIABLES = ("QUOTH_MASTER_KEY", "LITELLM_MASTER_KEY")
# Keys of tutorials and examples, which scanners try first.
_WELL_KNOWN = frozenset(
    "sk-1234 sk-12345 sk-123456 sk-1234567890 sk-12345678 sk-master sk-master-key sk-my-master-key sk-litellm "
    "sk-litellm-master-key sk-admin sk-test sk-password sk-anything sk-local "
    "sk-1234567890abcdef sk-0123456789abcdef 1234567890123456 my-secret-master-key".split()
)


def weakness(key: str) -> str | None:
    """Why a key of one's own (the master key, a caller's) guards nothing; None if it may do. Does not show the key."""
    if key.lower() in _WELL_KNOWN:
        return "it is one that everybody knows from examples"
    if is_placeholder(key):
        return "it is a placeholder"
    if len(key) < SHORTEST:
        return f"it has {len(key)} characters, and needs {SHORTEST} or more"
    if len(set(key.removeprefix("sk-"))) < 6:
        return "it repeats a few characters over and over"
    return None


def master_key(node: Node | None, variables: Variables, permitted: bool, problems: Problems) -> str | None:
    """`general_settings.master_key`, else QUOTH_MASTER_KEY, else LITELLM_MASTER_KEY. `permitted`: weak ones too."""
    place, path = NOWHERE, "general_settings.master_key"
    key: str | None = None
    if node is not None and (node.value is not None or node.variable is not None):
        place = node.place
        if node.value is None:
            return None  # a missing variable, which was reported
        if not isinstance(node.value, str):
            problems.error(place, path, "it has to be a text; put quotation marks around it")
            return None
        key = node.value.strip()
        if is_placeholder(key):
            return None  # reported too
    else:
        for name in _VARIABLES:
            key = variables.get(name, Place(), name)
            if key is not None:
                path = name
                break
    if key is None:
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        problems.error(place, path, "it has characters that no HTTP header can carry")
        return None
    weak = weakness(key)
    if weak is not None:
        advice = "Make one with: python -c \"import secrets; print('sk-' + secrets.token_urlsafe(32))\""
        if permitted:
            problems.warning(
                place, path, f"{weak}; general_settings.dangerously_permit_weak_or_unset_master_key is set"
            )
        else:
            problems.error(place, path, f"{weak}. {advice}")
    return key


def loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def apart(workers: int) -> list[Problem]:
    """What to say of workers that know nothing of one another."""
    if workers < 2:
        return []
    return [
        Problem(
            "warning",
            f"limits are per worker: each of the {workers} has its own rpm, tpm, pace, health, cache and idempotency "
            "keys, and knows nothing of the others'",
        )
    ]


def exposure(host: str, key: str | None, permitted: bool = False) -> list[Problem]:
    """What is wrong with listening on an address with this key, or without one."""
    if key is not None:
        return []
    if loopback(host):
        return [Problem("warning", "there is no master key (QUOTH_MASTER_KEY): everybody on this machine may call")]
    message = f"others can reach {host}, and there is no master key: set QUOTH_MASTER_KEY, or listen on 127.0.0.1"
    return [Problem("warning" if permitted else "error", message)]
