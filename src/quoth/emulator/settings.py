"""The switches of an emulator, and the two profiles that give them their defaults.

`observed` follows the recordings wherever they and Poe's documentation disagree, `documented` the documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

from quoth.emulator.changes import CHANGES

__all__ = ["PROFILES", "Switches", "switches"]

Profile = Literal["observed", "documented"]


@dataclass(frozen=True, slots=True)
class Switches:
    """How one emulator behaves. Times are seconds, sizes bytes, money points (33,000 to the US dollar).

    - `token_delay`, `first_token_delay`: pace of streams; a plain answer comes at once after `first_token_delay`.
    - `strict`: undeclared request keys and values outside a declared enum or range are 400, as since April 2026.
    - `json_schema_models`: ids that honour `response_format`; "all" or "none".
    - `forward_reasoning_effort`: the top-level `reasoning_effort` makes a model that can reason show its reasoning.
    - `usage_details`: "recorded" (the bots that were seen to send them), "always" or "never".
    - `instructions`, `previous_responses`: the parameters of Responses that Poe ignores and refuses have their effect.
    - `cache_lifetime`: how long Messages and Responses remember a prompt; a mark with `ttl: "1h"` twelve times as long.
    - `openai_media_paths`: images and speech also at OpenAI's own paths, `/v1/images/generations` and the like.
    - `rate_limit`: requests a minute for one key; `rate_limit_headers`: also on answers that are not 429.
    - `balance`, `subscriber`: the account that every key spends from. Without a subscription only free models answer.
    - `late_costs`: how long a row of the points history shows 0 points before its cost appears.
    - `numeric_error_codes`: `error.code` is the HTTP status, as one page of the documentation has it.
    - `empty_members`: the members that are documented as always empty are present, as null.
    - `full_balance`: the balance in all its fields instead of the single documented one.
    - `developer_role`: messages with the role `developer` are accepted.
    - `media_delay`: how long a media bot takes. `media_progress`: its stream says so while it does.
    - `media_origin`: scheme and host of the URLs in media answers; "" is the emulator itself, where the files are.
    - `browser_only`: files are refused with 403 to clients that introduce themselves as Python.
    - `past_rows`: so many rows of the last 30 days are in the history from the start, of all kinds and made up.
    - `facts_changed`: names of facts that are deliberately not so, see `quoth.emulator.changes`.
    - `max_body`: a longer request body is 413.
    - `faults`: faults for coming requests, see `quoth.emulator.faults`.
    """

    profile: Profile = "observed"
    token_delay: float = 0.002
    first_token_delay: float = 0.0
    strict: bool = True
    json_schema_models: tuple[str, ...] | Literal["all", "none"] = ("grok-4",)
    forward_reasoning_effort: bool = True
    usage_details: Literal["recorded", "always", "never"] = "recorded"
    instructions: bool = False
    previous_responses: bool = False
    cache_lifetime: float = 300.0
    openai_media_paths: bool = False
    rate_limit: int = 500
    rate_limit_headers: bool = False
    balance: int = 10_000_000
    subscriber: bool = True
    late_costs: float = 0.0
    numeric_error_codes: bool = False
    empty_members: bool = False
    full_balance: bool = True
    past_rows: int = 0
    developer_role: bool = False
    media_delay: float = 0.0
    media_progress: bool = True
    media_origin: str = ""
    browser_only: bool = False
    max_body: int = 64 * 1024 * 1024
    facts_changed: tuple[str, ...] = ()
    faults: str | tuple[str, ...] = ()


PROFILES: dict[str, dict[str, Any]] = {
    "observed": {},
    "documented": {
        "json_schema_models": "none",
        "forward_reasoning_effort": False,
        "usage_details": "never",
        "instructions": True,
        "previous_responses": True,
        "rate_limit_headers": True,
        "numeric_error_codes": True,
        "empty_members": True,
        "full_balance": False,
    },
}


def switches(profile: str = "observed", **overrides: Any) -> Switches:
    """The switches of a profile with some set otherwise. Raises ValueError for a name that does not exist.

    `facts_changed` may be any collection of names, or one text with commas.
    """
    if profile not in PROFILES:
        raise ValueError(f"Unknown emulator profile {profile!r}: use one of {', '.join(PROFILES)}.")
    known = {field.name for field in fields(Switches)} - {"profile"}
    unknown = sorted(set(overrides) - known)
    if unknown:
        raise ValueError(f"Unknown emulator switch {unknown[0]!r}: known are {', '.join(sorted(known))}.")
    chosen = {"profile": profile, **PROFILES[profile]}
    names = _names(overrides.pop("facts_changed", ()))
    for name in names:
        chosen |= CHANGES[name].switches.get(profile, {})
    return Switches(**{**chosen, **overrides, "facts_changed": names})


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else given
    found = tuple(sorted({name for name in names if name}))
    unknown = next((name for name in found if name not in CHANGES), None)
    if unknown is not None:
        raise ValueError(f"Unknown fact {unknown!r} to change: known are {', '.join(sorted(CHANGES))}.")
    return found
