"""`quoth emulate`: the offline Poe in the foreground."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from quoth.cli import terminal
from quoth.cli.failures import UsageFault

__all__ = ["KEY", "exports", "run", "show_facts"]

# Any key is valid there; this one says what it is.
KEY = "emulated"

_USAGE_DETAILS = ("recorded", "always", "never")


def exports(base_url: str) -> dict[str, str]:
    """The environment that points programs to an emulator."""
    return {"POE_API_BASE": base_url, "POE_API_KEY": KEY}


def run(host: str, port: int, profile: str, switches: Mapping[str, Any], *, as_json: bool) -> None:
    from quoth.emulator import serve

    details = switches.get("usage_details", _USAGE_DETAILS[0])
    if details not in _USAGE_DETAILS:
        raise UsageFault(f"--usage-details {details!r} is not known; there are {', '.join(_USAGE_DETAILS)}")

    def ready(base_url: str) -> None:
        variables = exports(base_url)
        if as_json:
            terminal.print_json({"base_url": base_url, "profile": profile, "environment": variables})
            return
        terminal.note(f"An emulated Poe (profile {profile}) listens at {base_url}. Ctrl-C ends it. To use it:", "bold")
        terminal.write("".join(f"export {name}={value}\n" for name, value in variables.items()))
        if not _is_loopback(host):
            terminal.note(f"Warning: other machines can reach {host}, and the emulator takes any key.", "yellow")

    try:
        serve(host, port, profile, ready=ready, **switches)
    except OSError as error:
        # Already one sentence with what to do; its number adds nothing.
        raise UsageFault(error.strerror or str(error)) from None
    except ValueError as error:
        raise UsageFault(str(error)) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def show_facts(*, as_json: bool) -> None:
    from quoth.emulator import facts

    known = facts()
    if as_json:
        terminal.print_json([fact._asdict() for fact in known])
        return
    width = max(len(fact.status) for fact in known)
    terminal.write("".join(f"{fact.date:<10}  {fact.status:<{width}}  {fact.behaviour}\n" for fact in known))
