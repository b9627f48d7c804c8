"""What is known of Poe's models at each base URL: the shipped facts, and over them the list that was fetched last."""

from __future__ import annotations

from quoth.providers.catalogue import Catalogue, corrected, corrections, known, shipped
from quoth.providers.rows import host_of

__all__ = ["Catalogues"]


class Catalogues:
    """In memory: every worker fetches its own, and a list that cannot be fetched leaves the last good one in force."""

    def __init__(self) -> None:
        self._live: dict[str, Catalogue] = {}
        self._rows: dict[str, dict[str, dict[str, object]]] = {}

    def of(self, url: str) -> Catalogue:
        """The catalogue in force for a base URL."""
        return self._live.get(host_of(url)) or known()

    def rows(self, url: str) -> dict[str, dict[str, object]]:
        """The models as they were listed, by id in lower case; empty until a list has been fetched."""
        return self._rows.get(host_of(url), {})

    def put(self, url: str, fetched: Catalogue, rows: dict[str, dict[str, object]]) -> None:
        host = host_of(url)
        self._live[host] = corrected(fetched.over(shipped()), corrections(), frozenset())
        self._rows[host] = rows
