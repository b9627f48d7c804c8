"""The names behind the handles: what Responses and Messages call a model, and the names that Messages understands.

Names with a date were recorded where `_RECORDED` has them; the others are the provider's own names for those models.
"""

from __future__ import annotations

import re

from quoth.emulator.models import find
from quoth.providers.catalogue import ModelFacts

__all__ = ["claude_by_name", "resolved"]

_RECORDED = {
    "claude-haiku-3": "claude-3-haiku-20240307",
    "claude-haiku-3.5": "claude-3-5-haiku-20241022",
    "claude-haiku-4.5": "claude-haiku-4-5-20251001",
    "claude-opus-4.1": "claude-opus-4-1-20250805",
    "claude-opus-4.5": "claude-opus-4-5-20251101",
    "claude-opus-4.6": "claude-opus-4-6",
    "claude-sonnet-4": "claude-sonnet-4-20250514",
    "gemini-2.0-flash": "gemini-2.0-flash-001",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-4o": "gpt-4o-2024-11-20",
    "gpt-4o-aug": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-chat": "gpt-5-chat-latest",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "gpt-5.1": "gpt-5.1-2025-11-13",
    "gpt-5.2": "gpt-5.2-2025-12-11",
    "gpt-5.2-instant": "gpt-5.2-chat-latest",
    "gpt-5.3-codex-spark": "gpt-5.3-codex-spark-preview",
    "gpt-5.3-instant": "gpt-5.3-chat-latest",
    "gpt-5.4": "gpt-5.4-2026-03-05",
    "gpt-5.4-mini": "gpt-5.4-mini-2026-03-17",
    "o1": "o1-2024-12-17",
    "o3-mini": "o3-mini-2025-01-31",
    "o3-mini-high": "o3-mini-2025-01-31",
    "o4-mini": "o4-mini-2025-04-16",
}
_INFERRED = {
    "claude-opus-4": "claude-opus-4-20250514",
    "claude-opus-4.7": "claude-opus-4-7",
    "claude-opus-4.8": "claude-opus-4-8",
    "claude-sonnet-3.5": "claude-3-5-sonnet-20241022",
    "claude-sonnet-3.5-june": "claude-3-5-sonnet-20240620",
    "claude-sonnet-3.7": "claude-3-7-sonnet-20250219",
    "claude-sonnet-4.5": "claude-sonnet-4-5-20250929",
    "claude-sonnet-4.6": "claude-sonnet-4-6",
    "gpt-5.1-instant": "gpt-5.1-chat-latest",
    "o3": "o3-2025-04-16",
}
_FAMILIES = ("opus", "sonnet", "haiku")
_DATE = re.compile(r"\d{8}|latest")


def resolved(model_id: str) -> str:
    """The provider's name of a model; the handle itself where no other name is known."""
    return _RECORDED.get(model_id) or _INFERRED.get(model_id) or model_id


def claude_by_name(name: str) -> ModelFacts | None:
    """An official Claude model by Poe's handle or by Anthropic's name, whatever the order of its parts and its date.

    `claude-haiku-3-5-20241022` and `claude-3-5-haiku-20241022` are Claude-Haiku-3.5, and a date that never was is as
    good as any other. None for every other model.
    """
    facts = find(name)
    if facts is None:
        words = [word for word in re.split(r"[-.@]", name.lower()) if not _DATE.fullmatch(word)]
        family = next((word for word in words if word in _FAMILIES), None)
        numbers = [word for word in words if word.isdigit()]
        if words[:1] != ["claude"] or family is None or len(words) != len(numbers) + 2:
            return None
        facts = find(f"claude-{family}-{'.'.join(numbers).removesuffix('.0')}")
    return facts if facts is not None and facts.owned_by == "Anthropic" else None
