"""Secrets taken out of texts that others will see: error messages, log lines, spans.

    redact = Redactor(secrets_of(settings, environment), hosts_of(settings))
    redact("Incorrect API key provided: sk-abc...")      # "Incorrect API key provided: [key]"

The keys that are known here go wherever they stand; beside them everything that has the shape of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from quoth.gateway.settings import Settings
from quoth.gateway.settings.secrets import is_secret

__all__ = ["Redactor", "hosts_of", "secrets_of"]

MASK, HOST = "[key]", "[host]"
# Keys that are shorter, or are plain words ("anything", for a server that asks for none), would black out texts that
# hold no secret.
_SHORTEST, _PLAIN = 6, 12
_SECRET_VARIABLE = re.compile(r"(KEY|SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIALS?)(_\d+)?$", re.I)
_CARRIES_A_PASSWORD = re.compile(r"(URL|URI|DSN|PROXY)$", re.I)

# What stands after a word that announces a secret: long, without spaces, and not a plain word.
_VALUE = r"""(?:(?=[^\s"'<>,;}\])&\\]*\d)[^\s"'<>,;}\])&\\]{8,}|[^\s"'<>,;}\])&\\]{24,})"""
_NAMES = (
    "authorization|proxy-authorization|x-api-key|x-litellm-api-key|api-key|api_key|apikey|access_token|refresh_token|"
    "client_secret|secret_key|secret|password|passwd|master_key|private_key|token"
)
# A named group is the part that stays. Every pattern is linear, since texts come from providers and callers: nothing
# that repeats holds anything that repeats, and where a run of letters may be no secret after all, a match begins only
# where the run does, so that it is read once.
_SHAPES = (
    # A cookie is as good as a password; it goes to the end of its line.
    r"""(?P<cookie>\b(?:set-)?cookie["']?\s*[:=]\s*["']?)[^\r\n"']+""",
    rf"(?P<bearer>\bbearer\s+){_VALUE}",
    r"(?P<basic>\bbasic\s+)(?=[A-Za-z+/]*[\d=])[A-Za-z0-9+/]{8,}={0,2}(?![\w.-])",
    r"(?P<user>(?<=://))[^/\s@?#]+(?=@)",
    rf"""(?P<query>[?&](?:{_NAMES}|key|sig|signature|code|x-amz-[a-z-]+|x-goog-[a-z-]+)=)[^&\s"'<>#]+""",
    rf"""(?P<named>(?<![\w-])(?:{_NAMES})\\?["']?\s*[:=]\s*\\?["']?){_VALUE}""",
    r"\bsk-[\w-]{8,}",
    r"(?<![\w-])(?:pk|rk|gw|lf|vk|sess)-(?=[\w-]*\d)[\w-]{8,}",
    r"\b(?:gsk|hf|ghp|gho|ghs|github_pat|xai|r8|tgp_v1|fw)_\w{16,}",
    r"\b(?:glpat|xox[abp]|nvapi|pplx|csk)-[\w-]{16,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bAIza[\w-]{30,}",
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}[\w.-]*",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
)


class Redactor:
    """A function from a text to the same without secrets. `secrets`: keys that are known; `hosts`: addresses of one's
    own that callers need not know."""

    def __init__(self, secrets: Iterable[str] = (), hosts: Iterable[str] = ()):
        known = {text for secret in secrets for text in (secret, quote(secret, safe="")) if _telling(secret)}
        # The longest first: one key may begin like another.
        patterns = [re.escape(text) for text in sorted(known, key=lambda text: (-len(text), text))]
        shapes = [f"(?i:{shape})" if "(?P<" in shape else shape for shape in _SHAPES]
        self._secrets = re.compile("|".join([*patterns, *shapes]))
        names = sorted(set(hosts), key=lambda name: (-len(name), name))
        self._hosts = re.compile("|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-])" for name in names), re.I)
        self._has_hosts = bool(names)

    def __call__(self, text: str) -> str:
        text = self._secrets.sub(_masked, text)
        return self._hosts.sub(HOST, text) if self._has_hosts else text

    def data(self, data: bytes) -> bytes:
        """The same for bytes, which need not be UTF-8; what holds no secret is returned as it is."""
        text = data.decode("utf-8", "surrogateescape")
        clean = self(text)
        return data if clean == text else clean.encode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """The same for the texts in a JSON value, and for the values of names that announce a secret."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {
                name: MASK if isinstance(item, str) and item and is_secret(str(name)) else self.value(item)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _masked(found: re.Match[str]) -> str:
    kind = found.lastgroup
    return MASK if kind is None else found[kind] + MASK


def _telling(secret: str) -> bool:
    """Whether a key is one that can be looked for in texts."""
    return len(secret) >= _PLAIN or (len(secret) >= _SHORTEST and not secret.isalpha())


def secrets_of(settings: Settings, environment: Mapping[str, str]) -> set[str]:
    """Every secret that settings and environment hold."""
    found = {settings.master_key or ""}
    for entry in settings.models:
        found.update(_secrets(entry.litellm_params))
    for row in settings.quoth.providers:
        found.update(_secrets(row.headers))
    for name, value in settings.environ(environment).items():
        if _SECRET_VARIABLE.search(name):
            found.add(value.strip())
        elif _CARRIES_A_PASSWORD.search(name):
            found.update(_passwords(value))
    found.update(_passwords(settings.network.proxy or ""))
    return {secret for secret in found if _telling(secret)}


def hosts_of(settings: Settings) -> set[str]:
    """The hosts of addresses that the settings name; those of the providers that everybody knows are not among them."""
    found = set()
    for entry in settings.models:
        for name in ("api_base", "base_url"):
            if isinstance(address := entry.litellm_params.get(name), str):
                found.add(urlsplit(address).netloc.rpartition("@")[2])
    for row in settings.quoth.providers:
        found.add(urlsplit(row.base_url).netloc.rpartition("@")[2])
    return found - {""}


def _secrets(value: Mapping[str, Any]) -> Iterator[str]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _secrets(item)
        elif isinstance(item, str) and (is_secret(name) or "key" in name.lower() or "auth" in name.lower()):
            yield item.strip()
            yield item.strip().partition(" ")[2]  # of "Bearer ..." the key alone


def _passwords(address: str) -> Iterator[str]:
    user, at, _ = address.partition("://")[2].partition("@")
    if at:
        yield user.partition(":")[2]
