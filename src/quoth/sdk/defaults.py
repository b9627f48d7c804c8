"""The clients behind `quoth.completion` and `quoth.acompletion`: made at the first call, one each for the process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quoth.sdk.client import AsyncClient, Client

__all__ = ["async_client", "client"]

_lock = threading.Lock()
_client: Client | None = None
_async_client: AsyncClient | None = None


def client() -> Client:
    global _client
    if _client is None:
        from quoth.sdk.client import Client

        with _lock:
            _client = _client or Client()
    return _client


def async_client() -> AsyncClient:
    global _async_client
    if _async_client is None:
        from quoth.sdk.client import AsyncClient

        with _lock:
            _async_client = _async_client or AsyncClient()
    return _async_client
