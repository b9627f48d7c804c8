"""Poe as one function: a request in, an answer out. Knows routes, keys, limits and the ledger; no socket."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from quoth.emulator import chat
from quoth.emulator.changes import Changes
from quoth.emulator.chat_request import ChatRequest, read
from quoth.emulator.delivery import Answer
from quoth.emulator.faults import NONE, Fault
from quoth.emulator.files import PREFIX, Files
from quoth.emulator.http1 import Request
from quoth.emulator.ledger import Ledger
from quoth.emulator.models import model_list
from quoth.emulator.problems import Problem, by_status
from quoth.emulator.ratelimit import RateLimit
from quoth.emulator.settings import Switches

__all__ = ["Poe"]

_CORS = (("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Headers", "Authorization, Content-Type"))
_PREFLIGHT = (*_CORS, ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"), ("Access-Control-Max-Age", "600"))
_CHAT = "/v1/chat/completions"
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


class Poe:
    """One emulated account and service. Everything it knows besides its switches is forgotten by `clear`."""

    def __init__(self, switches: Switches):
        self.switches = switches
        self.origin = ""  # scheme and host, once it is known where the server listens
        self.ledger = Ledger(switches.balance, int(switches.late_costs * 1_000_000), switches.past_rows)
        self.changes = Changes(switches.facts_changed)
        self.files = Files(browser_only=switches.browser_only)
        self._limit = RateLimit(switches.rate_limit)
        self._calls = 0
        self._models: bytes | None = None
        self._routes = {
            _CHAT: ("POST", self._chat),
            "/v1/models": ("GET", self._list_models),
            "/usage/current_balance": ("GET", self._balance),
            "/usage/points_history": ("GET", self._history),
        }

    def clear(self) -> None:
        self.ledger.clear()
        self.files.clear()
        self._limit.clear()
        self._calls = 0

    def answer(self, request: Request, fault: Fault = NONE) -> Answer:
        """The answer to a request; a fault with a status takes the place of any other."""
        started = time.monotonic()
        headers: list[tuple[str, str]] = []
        try:
            if fault.status is not None:
                raise by_status(fault.status, fault.message, fault.type, fault.code)
            answer = self._routed(request, fault, headers)
        except Problem as problem:
            answer = self._refusal(problem if fault.status is not None else self.changes.problem(problem))
            if request.path == _CHAT and problem.status == 400 and fault.status is None:
                mode = "strict" if self.switches.strict else "legacy"
                headers.append(("x-poe-feature-active", f"chat-completions-{mode}"))
        elapsed = round((time.monotonic() - started) * 1000)
        served = ("openai-version", "2020-10-01"), ("openai-processing-ms", str(elapsed))
        common = () if answer.status == 204 else (*_CORS, *(served if request.path.startswith("/v1/") else ()))
        return replace(answer, headers=(("Server", "quoth-emulator"), *common, *answer.headers, *headers))

    def _refusal(self, problem: Problem) -> Answer:
        body = msgspec.json.encode(self.changes.body("error", problem.body(self.switches.numeric_error_codes)))
        return Answer(problem.status, body, headers=problem.headers)

    def _routed(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        if request.method == "OPTIONS":
            return Answer(204, headers=_PREFLIGHT, content_type=None)
        if request.path.startswith(PREFIX):
            return self.files.answer(request)
        if request.path not in self._routes:
            if self.switches.profile == "documented":
                raise Problem(404, f"Unknown path {request.path}.")
            raise Problem(404, plain={"detail": "Not Found"})
        method, handler = self._routes[request.path]
        if request.method != method and not (request.method == "HEAD" and method == "GET"):
            raise Problem(405, plain={"detail": "Method Not Allowed"}, headers=(("Allow", method),))
        return handler(request, fault, headers)

    def _key(self, request: Request) -> str:
        """The caller's key. Any will do that is not empty and does not contain `invalid`."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise Problem(401, "Missing API key. Send it as 'Authorization: Bearer <key>'.")
        if "invalid" in key.lower():
            raise Problem(401, "Invalid API key.")
        return key

    # Routes

    def _chat(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        key = self._key(request)
        admitted, limits = self._limit.admit(key, time.monotonic())
        if not admitted:
            raise Problem(
                429, f"Rate limit of {self._limit.limit} requests per minute exceeded.", headers=tuple(limits.items())
            )
        if self.switches.rate_limit_headers:
            headers += limits.items()
        wanted = read(self._as_changed(request.raw), self.switches)
        if self.ledger.balance <= 0:
            raise Problem(402)
        self._calls += 1
        seed = f"{self._calls}/{hashlib.sha256(request.raw).hexdigest()}"
        if self.switches.rate_limit_headers:
            headers.append(("x-request-id", f"req_{hashlib.sha256(seed.encode()).hexdigest()[:32]}"))
        outcome = chat.decide(wanted, seed, self.switches, self._media_origin(request))
        self.files.add(outcome.pieces)
        query_id = hashlib.sha256(f"query/{seed}".encode()).hexdigest()[:32]
        self.ledger.charge(query_id, wanted.facts, outcome.billed, key, _now_us())
        if wanted.stream:
            return self._streamed(wanted, outcome, chat.chat_id(seed), fault)
        body = chat.completion(outcome, chat.chat_id(seed), int(time.time()), wanted, self.switches)
        if fault.no_usage:
            del body["usage"]
        body = self.changes.body("completion", body)
        working = self.switches.media_delay if outcome.media else 0.0
        return Answer(200, msgspec.json.encode(body), delay=self.switches.first_token_delay + working)

    def _streamed(self, wanted: ChatRequest, outcome: chat.Outcome, chat_id: str, fault: Fault) -> Answer:
        created = int(time.time())

        def events() -> Iterator[bytes | float]:
            chunks = chat.chunks(outcome, chat_id, created, wanted, self.switches, fault)
            for chunk in self.changes.chunks(chunks):
                yield msgspec.json.encode(chunk) if isinstance(chunk, dict) else chunk
            if self.changes.done and not fault.no_done:
                yield b"[DONE]"

        problem = by_status(500, fault.message, fault.type, fault.code)
        return Answer(
            200,
            headers=(("Cache-Control", "no-cache"),),
            content_type="text/event-stream; charset=utf-8",
            events=events(),
            pace=self.switches.token_delay,
            delay=self.switches.first_token_delay,
            error_event=msgspec.json.encode(problem.body(self.switches.numeric_error_codes)),
        )

    def _as_changed(self, raw: bytes) -> bytes:
        """The request as it is read, when a fact about requests is changed."""
        if not self.changes.requests:
            return raw
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return raw
        return msgspec.json.encode(self.changes.body("request", body)) if isinstance(body, dict) else raw

    def _media_origin(self, request: Request) -> str:
        """Where files are said to be: at the name by which this client knows the emulator."""
        host = request.headers.get("host", "")
        return self.switches.media_origin or (f"http://{host}" if _HOST.fullmatch(host) else self.origin)

    def _list_models(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        """Public: a bad key is not noticed here."""
        if self._models is None:
            listed = model_list(documented=self.switches.profile == "documented")
            self._models = msgspec.json.encode(self.changes.body("models", listed))
        return Answer(200, self._models)

    def _balance(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        self._key(request)
        return _json(self.changes.body("balance", self.ledger.balance_body(_now_us(), full=self.switches.full_balance)))

    def _history(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        self._key(request)
        limit = request.query.get("limit", "20")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= 100):
            raise Problem(400, "Invalid 'limit': must be an integer from 1 to 100.", param="limit")
        body = self.ledger.history_body(int(limit), request.query.get("starting_after"), _now_us())
        if body is None:
            raise Problem(400, "Invalid 'starting_after': no such query.", param="starting_after")
        return _json(self.changes.body("history", body))


def _json(body: dict[str, Any]) -> Answer:
    return Answer(200, msgspec.json.encode(body))


def _now_us() -> int:
    return time.time_ns() // 1000
