"""Hooks: Python of one's own that sees calls and answers, may change them, and may say no.

    # guard.py, beside the settings, which say `quoth: {hooks: [guard.instance]}`
    from quoth.gateway.hooks import Call, Hook, Refuse

    class Guard(Hook):
        async def before(self, call: Call):
            if "secret" in str(call.body):
                raise Refuse("no secrets, please")

    instance = Guard()

LiteLLM's CustomLogger is taken too; see `quoth.gateway.hooks.litellm`.
"""

from __future__ import annotations

from quoth.gateway.hooks.interface import REMOVED, Call, Hook, HookFailed, Refuse, Reply
from quoth.gateway.hooks.loading import HooksNotLoaded, load_hooks
from quoth.gateway.hooks.running import Hooks

__all__ = ["REMOVED", "Call", "Hook", "HookFailed", "Hooks", "HooksNotLoaded", "Refuse", "Reply", "load_hooks"]
