"""How many tokens a text has: an estimate that says it is one, exact where a vocabulary is at hand.

Exact means: the `tokens` extra (tiktoken) is installed, the model is one of OpenAI's, and tiktoken already has the
vocabulary in its cache (TIKTOKEN_CACHE_DIR). Nothing is ever downloaded. The estimate counts words, numbers,
punctuation and scripts the way byte-pair vocabularies usually cut them: for English within about a tenth, for code and
other scripts within about a fifth.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os.path
import re
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from quoth.engine.check import messages_of, plain
from quoth.errors import BadRequestError
from quoth.providers.tokens import counted, estimate
from quoth.transport.environment import environment

__all__ = ["TokenCount", "token_counter"]

# What tiktoken's cache is keyed by, and the SHA-256 of the files. Source: tiktoken_ext.openai_public, tiktoken 0.14.
_ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
VOCABULARIES = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}


class TokenCount(int):
    """A number of tokens. `exact` is False for an estimate."""

    exact: bool

    def __new__(cls, tokens: int, exact: bool) -> TokenCount:
        count = super().__new__(cls, tokens)
        count.exact = exact
        return count

    def __repr__(self) -> str:
        return f"{int(self)}" if self.exact else f"about {int(self)}"


def token_counter(
    model: str = "",
    text: str | Sequence[str] | None = None,
    messages: Sequence[Any] | None = None,
    tools: Sequence[Any] | None = None,
    tool_choice: Any = None,
    count_response_tokens: bool = False,
) -> TokenCount:
    """The tokens of a text, or of messages with the tools given along. An int with `.exact`.

    `count_response_tokens` leaves out what a conversation adds around its texts. An image counts 255. Raises
    BadRequestError.
    """
    encode = _exact_encoder(model.rpartition("/")[2].lower())
    exact = encode is not None

    def count(value: str) -> int:
        return len(encode(value)) if encode is not None else estimate(value)

    if text is not None and messages is not None:
        raise BadRequestError("token_counter takes text or messages, not both", param="text")
    if text is not None:
        texts = [text] if isinstance(text, str) else list(text)
        return TokenCount(sum(map(count, texts)), exact)
    if messages is None:
        raise BadRequestError("token_counter needs text or messages", param="messages")
    total, texts_only = counted(messages_of(messages), count, bare=count_response_tokens)
    exact = exact and texts_only
    if tools:
        total += count(_json([plain(tool, "tools") for tool in tools]))
        exact = False
    return TokenCount(total, exact)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _exact_encoder(model: str) -> Any:
    """tiktoken's encoder for a model of OpenAI's whose vocabulary is already here, or None."""
    if not re.match(r"(gpt-|o\d|chatgpt)", model) or importlib.util.find_spec("tiktoken") is None:
        return None
    variables = environment()
    # As tiktoken looks for it; an empty name switches its cache off, and then it would download.
    default = os.path.join(tempfile.gettempdir(), "data-gym-cache")
    folder = variables.get("TIKTOKEN_CACHE_DIR", variables.get("DATA_GYM_CACHE_DIR", default))
    return _loaded(model, folder) if folder else None


@lru_cache(maxsize=32)
def _loaded(model: str, folder: str) -> Any:
    import tiktoken

    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        name = "o200k_base"
    return tiktoken.get_encoding(name).encode_ordinary if _is_whole(name, folder) else None


def _is_whole(name: str, folder: str) -> bool:
    """True when the vocabulary is in the cache and undamaged: tiktoken deletes a damaged one and downloads it again."""
    digest = VOCABULARIES.get(name)
    if digest is None:
        return False
    try:
        with open(os.path.join(folder, cache_name(name)), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False


def cache_name(name: str) -> str:
    """The file in tiktoken's cache that holds a vocabulary."""
    return hashlib.sha1(_ADDRESS.format(name=name).encode(), usedforsecurity=False).hexdigest()
