"""From a model's name to the Target it means: "poe/grok-4" -> provider poe, its URL, its key, "grok-4"."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from quoth.call import Row, Target
from quoth.errors import AuthenticationError, BadRequestError
from quoth.providers.catalogue import Catalogue, known
from quoth.providers.rows import Registry
from quoth.providers.wires import CHAT

__all__ = ["OR_AS_ARGUMENT", "named", "resolve"]

# The end of the sentence about a missing key: what only a program that calls the SDK can do.
OR_AS_ARGUMENT = ", or pass api_key"

# Families whose bare names nobody else uses; a bare name beyond them is an error, never a guess.
_OPENAI_FAMILIES = re.compile(r"(gpt-(3\.5|4|4o|4\.1|4\.5|5(\.\d)?)|o[134]|chatgpt-4o)(-[a-z0-9.\-]+)?$")

# LiteLLM's names for services that do not speak OpenAI's protocol at the address that LiteLLM is given. Beside a base
# URL any other unknown prefix is a part of the model's name, as in "vendor/model".
_LITELLMS = frozenset(("azure", "bedrock", "sagemaker", "vertex_ai"))


def named(
    model: str, registry: Registry, *, provider: str | None = None, base_url: str | None = None
) -> tuple[Row, str]:
    """The row and the provider's own name of a model.

    `provider` and `base_url` say what a bare name belongs to. Raises BadRequestError (`param` "model") when it belongs
    to none.
    """
    if not isinstance(model, str) or not model.strip():
        raise BadRequestError(f'model is {model!r}; it has to be a name such as "poe/Claude-Sonnet-4.6"', param="model")
    model = model.strip()
    if provider:
        row = registry.get(provider)
        if row is None:
            raise BadRequestError(_unknown_provider(provider, model, registry), param="model")
        prefix, slash, rest = model.partition("/")
        return row, rest if slash and registry.get(prefix) is row else model
    prefix, slash, rest = model.partition("/")
    if slash:
        row = registry.get(prefix)
        if row is not None:
            if not rest:
                raise BadRequestError(f"{model!r} names a provider but no model", param="model")
            return row, rest
        if prefix in _LITELLMS:
            message = f"{prefix} is a provider of LiteLLM's that has no row here. If it has an address where it speaks "
            raise BadRequestError(
                f"{message}OpenAI's protocol, call custom_openai/{rest} with that as api_base", param="model"
            )
        if base_url is None:
            raise BadRequestError(_unknown_provider(prefix, model, registry), param="model")
    if base_url is not None:
        return _row(registry.owner_of(base_url) or "custom_openai", registry), model
    if _OPENAI_FAMILIES.match(model):
        return _row("openai", registry), model
    raise BadRequestError(
        f"{model!r} does not say whose model it is. Write provider/model: for Poe {_poe_name(model)!r}. "
        f"Providers: {', '.join(registry.names())}",
        param="model",
    )


def resolve(
    model: str,
    registry: Registry,
    environment: Mapping[str, str],
    *,
    provider: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
    without_quirks: Iterable[str] = (),
    catalogue: Callable[[str], Catalogue] | None = None,
) -> Target:
    """The target that a model's name means.

    Precedence: the arguments, then the environment, then the row; blank counts as missing. A key from the environment
    goes only to its own provider's host, to where `<PROVIDER>_API_BASE` points, or to a `base_url` whose host is no
    other provider's. `catalogue` gives what is known of Poe's models at a base URL; the shipped facts if left out.
    Raises BadRequestError, AuthenticationError.
    """
    base_url = _given(base_url)
    row, name = named(model, registry, provider=_given(provider), base_url=base_url)
    source = "api_base"
    url = base_url
    if url is None:
        for variable in registry.base_variables(row):
            if (url := _given(environment.get(variable))) is not None:
                source = variable
                break
    if url is None and not row.base_url:
        variable = registry.base_variables(row)[0]
        message = f"{row.name} has no host of its own: pass api_base, or set {variable}"
        raise BadRequestError(message, llm_provider=row.name, model=name, param="api_base")
    url = row.base_url if url is None else _checked_url(url, source)
    key = _given(api_key)
    if key is None:
        found = next(((name, value) for name in row.key_env if (value := _given(environment.get(name)))), None)
        if found is not None:
            if base_url is not None and (owner := registry.other_owner_of(url, row)) is not None:
                raise AuthenticationError(
                    f"{found[0]} is {row.name}'s key and {url} is {owner}'s host, so it is not sent there. "
                    f"Pass api_key for that host, or call {owner}/{name}",
                    llm_provider=row.name,
                    model=name,
                )
            key = found[1]
    if key is None and row.key_required:
        variable = row.key_env[0] if row.key_env else "api_key"
        raise AuthenticationError(
            f"no key for {row.title or row.name}: set {variable} (it is unset or blank){OR_AS_ARGUMENT}",
            llm_provider=row.name,
            model=name,
        )
    if key is not None and not (key.isascii() and key.isprintable()):
        raise AuthenticationError(
            f"the key for {row.name} has characters that no HTTP header can carry; was it copied with a line break?",
            llm_provider=row.name,
            model=name,
        )
    off = frozenset(without_quirks)
    return Target(
        row=row,
        model=name,
        base_url=url,
        key=key,
        wire=CHAT if CHAT in row.wires else row.wires[0],  # until the call decides
        headers={**row.headers, **(headers or {})},
        quirks=frozenset(row.quirks) if not off else frozenset(row.quirks) - off,
        query=query,
        catalogue=None if row.name != "poe" else known() if catalogue is None else catalogue(url),
    )


def _given(value: str | None) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _row(name: str, registry: Registry) -> Row:
    row = registry.get(name)
    if row is None:
        raise BadRequestError(f"there is no provider row {name!r}", param="model")
    return row


@lru_cache(maxsize=256)
def _checked_url(url: str, source: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise BadRequestError(f"{source} {_shown(url)} is not a URL: {error}", param="api_base") from None
    sayable = url.isprintable() and parts.path.isascii() and not any(char.isspace() or char == "\\" for char in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not sayable:
        raise BadRequestError(f"{source} {_shown(url)} is not a URL of the form https://host/v1", param="api_base")
    if not parts.hostname.isascii():
        # Name resolution takes "。" for "." and "ａ" for "a": two spellings of one host would be two owners.
        raise BadRequestError(
            f"{source} {_shown(url)} has a host that is not ASCII; write it as xn--...", param="api_base"
        )
    if parts.query or parts.fragment or parts.username or parts.password:
        raise BadRequestError(f"{source} has to be a plain base URL without user, query or fragment", param="api_base")
    return url.rstrip("/")


def _shown(url: str) -> str:
    """The URL for an error's text, without a password that it may hold."""
    return ascii(url[:200] if "@" not in url else f"{url.partition('://')[0]}://…@{url.rpartition('@')[2]}"[:200])


def _poe_name(model: str) -> str:
    catalogue = known()
    facts = catalogue.get(model)
    name = facts.display_name if facts else next(iter(catalogue.near(model, 1)), model)
    return f"poe/{name}"


def _unknown_provider(provider: str, model: str, registry: Registry) -> str:
    names = registry.names()
    near = difflib.get_close_matches(provider.lower(), names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    poe = f" Poe has it as {_poe_name(model.rpartition('/')[2])!r}." if known().get(model.rpartition("/")[2]) else ""
    return f"{provider!r} (in {model!r}) is not a provider.{guess}{poe} Providers: {', '.join(names)}"
