"""Poe as one function: a request in, an answer out. Knows routes, keys, limits and the ledger; no socket."""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from quoth.emulator import (
    chat,
    media_answers,
    media_request,
    messages,
    messages_request,
    response_events,
    responses,
    responses_request,
)
from quoth.emulator.changes import Changes
from quoth.emulator.chat_request import ChatRequest, read
from quoth.emulator.delivery import Answer, Event
from quoth.emulator.faults import NONE, Fault
from quoth.emulator.files import PREFIX, Files
from quoth.emulator.http1 import Request
from quoth.emulator.ledger import Billed, Ledger
from quoth.emulator.media_request import FilmRequest
from quoth.emulator.messages_request import ENDPOINT as MESSAGES
from quoth.emulator.models import model_list
from quoth.emulator.problems import Problem, by_status
from quoth.emulator.prompt_cache import PromptCache
from quoth.emulator.ratelimit import RateLimit
from quoth.emulator.response_items import Item
from quoth.emulator.responses_request import ENDPOINT as RESPONSES
from quoth.emulator.settings import Switches
from quoth.emulator.video_jobs import VideoJobs
from quoth.providers.catalogue import ModelFacts

__all__ = ["Poe"]

_ORIGIN = ("Access-Control-Allow-Origin", "*")
_CORS = (_ORIGIN, ("Access-Control-Allow-Headers", "Authorization, Content-Type"))
_PREFLIGHT = (*_CORS, ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"), ("Access-Control-Max-Age", "600"))
_CHAT = "/v1/chat/completions"
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_STREAM = "text/event-stream; charset=utf-8"
_KEPT_RESPONSES = 1_000


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
        self._errors = 0
        self._models: bytes | None = None
        self._cache = PromptCache(switches.cache_lifetime)
        self._kept: OrderedDict[str, list[Item]] = OrderedDict()  # conversations, by the id of their last response
        self._videos = VideoJobs(switches.media_delay)
        self._routes = {
            _CHAT: ("POST", self._chat),
            RESPONSES: ("POST", self._respond),
            MESSAGES: ("POST", self._message),
            "/v1/images": ("POST", self._draw),
            "/v1/audio": ("POST", self._speak),
            "/v1/videos": ("POST", self._film),
            "/v1/models": ("GET", self._list_models),
            "/usage/current_balance": ("GET", self._balance),
            "/usage/points_history": ("GET", self._history),
        }
        if switches.openai_media_paths:
            self._routes |= {
                "/v1/images/generations": ("POST", self._draw),
                "/v1/images/edits": ("POST", self._draw),
                "/v1/audio/speech": ("POST", self._speak),
            }

    def clear(self) -> None:
        self.ledger.clear()
        self.files.clear()
        self._limit.clear()
        self._cache.clear()
        self._kept.clear()
        self._videos.clear()
        self._calls = 0
        self._errors = 0

    def answer(self, request: Request, fault: Fault = NONE) -> Answer:
        """The answer to a request; a fault with a status takes the place of any other."""
        started = time.monotonic()
        headers: list[tuple[str, str]] = []
        try:
            if fault.status is not None:
                raise by_status(fault.status, fault.message, fault.type, fault.code)
            answer = self._routed(request, fault, headers)
        except Problem as problem:
            answer = self._refusal(request, problem if fault.status is not None else self.changes.problem(problem))
            if request.path == _CHAT and problem.status == 400 and fault.status is None:
                mode = "strict" if self.switches.strict else "legacy"
                headers.append(("x-poe-feature-active", f"chat-completions-{mode}"))
        common: tuple[tuple[str, str], ...] = ()
        if request.path == MESSAGES:  # which bears Anthropic's headers, not OpenAI's
            common = (_ORIGIN,)
        elif answer.status != 204:
            common = _CORS
        if request.path.startswith("/v1/") and request.path != MESSAGES and answer.status != 204:
            elapsed = round((time.monotonic() - started) * 1000)
            common += ("openai-version", "2020-10-01"), ("openai-processing-ms", str(elapsed))
        return replace(answer, headers=(("Server", "quoth-emulator"), *common, *answer.headers, *headers))

    def _refusal(self, request: Request, problem: Problem) -> Answer:
        if request.path == MESSAGES and problem.plain is None:
            body = self.changes.body("message_error", self._envelope(request, problem))
        else:
            body = self.changes.body("error", problem.body(self.switches.numeric_error_codes))
        return Answer(problem.status, msgspec.json.encode(body), headers=problem.headers)

    def _envelope(self, request: Request, problem: Problem) -> dict[str, Any]:
        self._errors += 1
        seed = f"error/{self._errors}/{hashlib.sha256(request.raw).hexdigest()}"
        return messages.envelope(problem, seed, as_text=self.switches.profile == "observed")

    def _routed(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        if request.method == "OPTIONS":
            return Answer(204, headers=_PREFLIGHT, content_type=None)
        if request.path.startswith(PREFIX):
            return self.files.answer(request)
        if request.path not in self._routes:
            if request.path.startswith("/v1/videos/"):
                return self._video(request, fault, headers)
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
        if scheme.lower() != "bearer":
            key = ""
        if not key.strip() and request.path == MESSAGES:
            key = request.headers.get("x-api-key", "")
        key = key.strip()
        if not key:
            also = " or 'x-api-key: <key>'" if request.path == MESSAGES else ""
            raise Problem(401, f"Missing API key. Send it as 'Authorization: Bearer <key>'{also}.")
        if "invalid" in key.lower():
            raise Problem(401, "Invalid API key.")
        return key

    def _admitted(self, request: Request, headers: list[tuple[str, str]]) -> str:
        """The caller's key; what says where it stands is added to the headers. A refused request costs nothing."""
        key = self._key(request)
        admitted, limits = self._limit.admit(key, time.monotonic())
        if not admitted:
            told = tuple(limits.items())
            if request.path == MESSAGES:
                full_at = time.time() + int(limits["retry-after"])
                told = *messages.limit_headers(self._limit.limit, 0, full_at), ("retry-after", limits["retry-after"])
            raise Problem(429, f"Rate limit of {self._limit.limit} requests per minute exceeded.", headers=told)
        if request.path == MESSAGES:
            remaining, full_in = self._limit.bucket(key, time.monotonic())
            headers += messages.limit_headers(self._limit.limit, remaining, time.time() + full_in)
        elif self.switches.rate_limit_headers:
            headers += limits.items()
        return key

    def _seed(self, request: Request, headers: list[tuple[str, str]]) -> str:
        """What the ids of this call come from. Raises Problem when there are no points left to make it."""
        if self.ledger.balance <= 0:
            raise Problem(402)
        self._calls += 1
        seed = f"{self._calls}/{hashlib.sha256(request.raw).hexdigest()}"
        if self.switches.rate_limit_headers:
            headers.append(("x-request-id", f"req_{hashlib.sha256(seed.encode()).hexdigest()[:32]}"))
        return seed

    def _charge(self, seed: str, facts: ModelFacts, billed: Billed, key: str) -> None:
        query_id = hashlib.sha256(f"query/{seed}".encode()).hexdigest()[:32]
        self.ledger.charge(query_id, facts, billed, key, _now_us())

    # Routes

    def _chat(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        key = self._admitted(request, headers)
        wanted = read(self._as_changed("request", request.raw), self.switches)
        seed = self._seed(request, headers)
        outcome = chat.decide(wanted, seed, self.switches, self._media_origin(request))
        self.files.add(outcome.pieces)
        self._charge(seed, wanted.facts, outcome.billed, key)
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
        return self._stream(events(), msgspec.json.encode(problem.body(self.switches.numeric_error_codes)))

    def _stream(self, events: Iterator[Event | float], error_event: Event) -> Answer:
        return Answer(
            200,
            headers=(("Cache-Control", "no-cache"),),
            content_type=_STREAM,
            events=events,
            pace=self.switches.token_delay,
            delay=self.switches.first_token_delay,
            error_event=error_event,
        )

    def _respond(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        key = self._admitted(request, headers)
        wanted = responses_request.read(self._as_changed("response_request", request.raw), self.switches, self._kept)
        seed = self._seed(request, headers)
        outcome = chat.decide(wanted.chat, seed, self.switches, self._media_origin(request))
        self.files.add(outcome.pieces)
        prompt, cached = responses.blocks(wanted), 0
        length = sum(block.tokens for block in prompt)
        if length >= responses.CACHED_FROM and wanted.facts.owned_by == "OpenAI":
            least, step = responses.CACHED_FROM, responses.CACHED_IN_STEPS_OF
            cached = self._cache.automatic(wanted.facts.id, prompt, least, step, time.monotonic())
        created = int(time.time())
        written = responses.write(wanted, outcome, seed, created, self.switches, prompt=length, cached=cached)
        self._charge(seed, wanted.facts, written.billed, key)
        body = self.changes.body("response", written.body)
        if self.switches.previous_responses:
            self._keep(body["id"], [*wanted.items, *written.output])
        working = float(self.switches.media_delay) if outcome.media else 0.0
        if not wanted.chat.stream:
            if fault.no_usage:
                body["usage"] = None
            delay = self.switches.first_token_delay + working
            return Answer(200, msgspec.json.encode(body), content_type="application/json; charset=utf-8", delay=delay)

        def events() -> Iterator[Event | float]:
            told = response_events.events(body, written.output, fault, whole=outcome.media is not None, wait=working)
            for event in self.changes.events("response_events", told):
                yield event if isinstance(event, float) else (event[0].encode(), msgspec.json.encode(event[1]))
            if self.changes.done and not fault.no_done:
                yield b"[DONE]"

        problem = by_status(500, fault.message, fault.type, fault.code)
        error = {
            "type": "error",
            "sequence_number": fault.error.after if fault.error else 0,
            "code": problem.code or problem.type,
            "message": problem.message,
            "param": None,
        }
        return self._stream(events(), (b"error", msgspec.json.encode(error)))

    def _keep(self, response_id: str, items: list[Item]) -> None:
        self._kept[response_id] = items
        while len(self._kept) > _KEPT_RESPONSES:
            self._kept.popitem(last=False)

    def _message(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        key = self._admitted(request, headers)
        wanted = messages_request.read(self._as_changed("message_request", request.raw), request.headers, self.switches)
        seed = self._seed(request, [])
        facts = wanted.chat.facts
        used = self._cache.use(facts.id, wanted.blocks, messages.cached_from(facts.id), time.monotonic())
        outcome = chat.decide(wanted.chat, seed, self.switches, self._media_origin(request))
        body = messages.write(wanted, outcome, seed, used)
        self._charge(seed, facts, messages.billed(body, used), key)
        body = self.changes.body("message", body)
        if not wanted.chat.stream:
            if fault.no_usage:
                del body["usage"]
            return Answer(200, msgspec.json.encode(body), delay=self.switches.first_token_delay)

        def events() -> Iterator[Event | float]:
            for name, payload in self.changes.events("message_events", messages.events(body, fault)):
                yield name.encode(), msgspec.json.encode(payload)

        problem = by_status(500, fault.message, fault.type, fault.code)
        return self._stream(events(), (b"error", msgspec.json.encode(self._envelope(request, problem))))

    def _draw(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        key = self._admitted(request, headers)
        wanted = media_request.images(request, self.switches)
        seed = self._seed(request, headers)
        drawn = media_answers.drawn(wanted, seed, self._media_origin(request), int(time.time()))
        self.files.add(drawn.pieces)
        self._charge(seed, wanted.facts, drawn.billed, key)
        return drawn.answer(self.switches.media_delay)

    def _speak(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        key = self._admitted(request, headers)
        wanted = media_request.speech(request, self.switches)
        seed = self._seed(request, headers)
        spoken = media_answers.spoken(wanted, seed, self._media_origin(request))
        self._charge(seed, wanted.facts, spoken.billed, key)
        return spoken.answer(self.switches.media_delay)

    def _film(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        key = self._admitted(request, headers)
        return self._started(request, media_request.film(request, self.switches), fault, key, headers)

    def _started(
        self, request: Request, wanted: FilmRequest, fault: Fault, key: str, headers: list[tuple[str, str]]
    ) -> Answer:
        seed = self._seed(request, headers)
        job = self._videos.start(wanted, seed, time.time(), fault.job)
        if job.ends_well:  # what fails costs nothing
            self._charge(seed, wanted.facts, Billed(wanted.prompt_tokens, 0), key)
        return _json(self.changes.body("video", job.begun()))

    def _video(self, request: Request, fault: Fault, headers: list[tuple[str, str]]) -> Answer:
        """Everything below `/v1/videos/`."""
        key, now = self._admitted(request, headers), time.time()
        video_id, _, rest = request.path.removeprefix("/v1/videos/").partition("/")
        method = "POST" if video_id == "extensions" or rest == "remix" else "GET"
        if rest not in ("", "content", "remix") or (video_id == "extensions" and rest):
            raise Problem(404, plain={"detail": "Not Found"})
        if request.method != method and not (request.method == "HEAD" and method == "GET"):
            raise Problem(405, plain={"detail": "Method Not Allowed"}, headers=(("Allow", method),))
        if video_id == "extensions":
            wanted = media_request.extension(request, self._videos, now)
        elif rest == "remix":
            wanted = media_request.remix(request, self._videos.find(video_id), now)
        else:
            job = self._videos.find(video_id)
            if not rest:
                return _json(self.changes.body("video", job.shown(now)))
            return media_answers.content(request, job, now)
        return self._started(request, wanted, fault, key, headers)

    def _as_changed(self, kind: str, raw: bytes) -> bytes:
        """The request as it is read, when a fact about requests is changed."""
        if not self.changes.requests:
            return raw
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return raw
        return msgspec.json.encode(self.changes.body(kind, body)) if isinstance(body, dict) else raw

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
