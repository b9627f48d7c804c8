"""`quoth demo`: the main job step by step, offline against the emulator or, with a key, against the provider.

With a key it spends money, so it keeps under a budget, and what it makes of unknown price it makes only when asked to.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from quoth._version import __version__
from quoth.cli import terminal
from quoth.cli.answers import (
    Shown,
    Told,
    costs,
    facts_line,
    made_line,
    tokens_text,
    told,
    total_text,
)
from quoth.cli.emulate import KEY, exports
from quoth.cli.front import Front, NoGateway, has_curl, shown
from quoth.cli.front import run as fetched
from quoth.cli.making import DEFAULTS
from quoth.cli.names import DEFAULT_MODEL, model_name
from quoth.emulator import Emulator
from quoth.engine.purse import Tab
from quoth.engine.reading import BodyReader
from quoth.errors import APIError, BudgetExceededError, QuothError
from quoth.media import Kind
from quoth.providers.costs import price_of
from quoth.sdk.budget import Budget, current, named_budget
from quoth.sdk.client import AsyncClient, Client
from quoth.sdk.info import get_llm_provider, stream_chunk_builder, validate_environment
from quoth.sdk.media import download
from quoth.sdk.past import remember_trace
from quoth.types import Chunk, Completion, Cost, Usage

__all__ = ["run"]

_INDENT = "   "
_PORT = 8100
_HISTORY = 5.0  # seconds to wait for Poe's points history, which comes late

_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

_AT_ONCE = ("What is 17 * 19?", "What is the capital of Japan?", "Count from 1 to 5.")


@dataclass(slots=True)
class _Tour:
    """What the steps share, and what they brought."""

    model: str
    settings: Mapping[str, Any]
    keywords: Mapping[str, Any]
    silent: bool
    cap: Budget | None
    clip: bool
    new_front: Callable[[], Front]
    answers: list[Told] = field(default_factory=list)
    files: list[tuple[Kind, Path]] = field(default_factory=list)
    front: Front | None = None
    _folder: Path | None = None

    def in_front(self) -> Front:
        """The gateway, which is started when it is first asked for. Raises NoGateway."""
        if self.front is None:
            with terminal.waiting("quoth serve"):
                self.front = self.new_front()
        return self.front

    @property
    def folder(self) -> Path:
        """Where what is made stays after the tour."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="quoth-demo-"))
        return self._folder

    def say(self, text: str = "", style: terminal.Style | None = None) -> None:
        if self.silent:
            return
        lines = terminal.fit(f"{text}\n", sys.stdout)
        terminal.write(terminal.styled(lines, style, sys.stdout) if style else lines)

    def code(self, text: str) -> None:
        for line in text.splitlines():
            self.say(f"{_INDENT}{line}", "cyan")
        self.say()

    def ask(self, client: Client, messages: list[Any], *, stream: bool = False, **keywords: Any) -> Told:
        shown = None if self.silent else _Indented()
        answer = told(client, self.model, messages, {**self.keywords, **keywords}, stream=stream, shown=shown)
        self.took(answer)
        return answer

    def took(self, answer: Told, line: Callable[[Told], str] = facts_line) -> None:
        self.answers.append(answer)
        self.say(f"{_INDENT}{line(answer)}", "dim")
        for warning in answer.warnings:
            self.say(f"{_INDENT}Warning: {warning.message}", "yellow")


class _Indented(Shown):
    """An answer that stands in from the margin."""

    def say(self, text: str) -> None:
        if text:
            start = _INDENT if self._at_line_start else ""
            super().say(start + text.replace("\n", f"\n{_INDENT}"))


def _text(tour: _Tour) -> None:
    tour.code(
        'messages = [{"role": "user", "content": "What is the capital of France?"}]\n'
        f'completion("{tour.model}", messages)'
    )
    with Client(**tour.settings) as client:
        tour.ask(client, _user("What is the capital of France?"))


def _stream(tour: _Tour) -> None:
    tour.code(
        f'for chunk in completion("{tour.model}", messages, stream=True):\n'
        '    print(chunk.choices[0].delta.content or "", end="")'
    )
    with Client(**tour.settings) as client:
        tour.ask(client, _user("Count from 1 to 9."), stream=True)


def _tools(tour: _Tour) -> None:
    tour.code(
        f'answer = completion("{tour.model}", messages, tools=[get_weather])\n'
        'messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": ..., "content": get_weather(...)}]\n'
        f'completion("{tour.model}", messages, tools=[get_weather])'
    )
    messages = _user("Use get_weather: is it warm in Lisbon?")
    with Client(**tour.settings) as client:
        first = tour.ask(client, messages, tools=[_WEATHER])
        choices = first.completion.choices if first.completion is not None else []
        calls = choices[0].message.tool_calls if choices else None
        if not calls:
            tour.say(f"{_INDENT}The model answered without calling the tool.", "dim")
            return
        messages.append(choices[0].message.model_dump())
        for call in calls:
            result = _get_weather(call.function.arguments)
            tour.say(f"{_INDENT}get_weather says: {result}")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        tour.ask(client, messages, tools=[_WEATHER])


def _get_weather(arguments: str) -> str:
    """The program's own function; what the model wrote as arguments may be anything."""
    try:
        city = msgspec.json.decode(arguments)["city"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return 'error: the arguments have to be {"city": "..."}'
    return f"21 °C and sunny in {city}"


def _at_once(tour: _Tour) -> None:
    tour.code(f'await asyncio.gather(*(acompletion("{tour.model}", question) for question in questions))')

    async def one(client: AsyncClient, question: str) -> Told:
        started = time.monotonic()
        answer = await client.acompletion(tour.model, _user(question), stream=False, **tour.keywords)
        text = (answer.choices[0].message.content or "") if answer.choices else ""
        seconds = time.monotonic() - started
        return Told(tour.model, text, answer.usage, answer.cost, answer.warnings, seconds, answer)

    async def all_of_them() -> list[Told]:
        async with AsyncClient(**tour.settings) as client, asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(client, question)) for question in _AT_ONCE]
        return [task.result() for task in tasks]

    started = time.monotonic()
    try:
        with terminal.waiting(tour.model):
            answers = asyncio.run(all_of_them())
    except ExceptionGroup as group:
        raise _first(group) from None
    for question, answer in zip(_AT_ONCE, answers, strict=True):
        said = terminal.harmless(answer.text, sys.stdout).replace("\n", f"\n{_INDENT}")
        tour.say(f"{_INDENT}{question}  {said}")
        tour.took(answer)
    tour.say(f"{_INDENT}{len(answers)} answers in {time.monotonic() - started:.1f} s", "dim")


def _image(tour: _Tour) -> None:
    _make(tour, "image", "A raven, ink on paper", size="16:9")


def _speech(tour: _Tour) -> None:
    _make(tour, "audio", "Ravens can count to seven.")


def _clip(tour: _Tour) -> None:
    _make(tour, "video", "A raven takes off", seconds=4)


def _make(tour: _Tour, kind: Kind, prompt: str, **wanted: Any) -> None:
    """Have a bot make something, and save it. Raises BudgetExceededError when nobody can say what it costs."""
    model = DEFAULTS[kind]
    more = "".join(f", {name}={value!r}" for name, value in wanted.items())
    tour.code(
        f'messages = [{{"role": "user", "content": "{prompt}"}}]\n'
        f'answer = completion("{model}", messages{more})\n'
        "answer.choices[0].message.media[0].download()"
    )
    # Within the cap of the tour, and unlike texts only for a price that is known.
    strict: Any = nullcontext()
    if tour.cap is not None and not (kind == "video" and tour.clip):
        strict = named_budget("the tour", tour.cap.remaining, "`quoth demo --clip`")
    with Client(**tour.settings) as client, strict:
        answer = told(client, model, _user(prompt), wanted, stream=False, shown=None)
    found = answer.completion.choices[0].message.media if answer.completion and answer.completion.choices else []
    if not found:
        raise APIError(f"{model} answered without any {kind}: {answer.text[:300]}")
    for item in found:
        path = download(item, tour.folder)
        tour.files.append((item.kind, path))
        tour.say(f"{_INDENT}{path}  {path.stat().st_size / 1024:,.0f} kB")
    tour.took(answer, made_line)


def _with_curl(tour: _Tour) -> None:
    """What any program that speaks HTTP does."""
    front, question = tour.in_front(), "What is the capital of Japan?"
    tour.say(f"{_INDENT}quoth serve: {front.base_url}, key {front.key}", "dim")
    tour.code(shown(command := front.curl(tour.model, _user(question), tour.keywords)))

    headers: dict[str, str] = {}

    def ask() -> Completion:
        found = fetched(command)
        if found is None:
            return _by_hand(tour, front, question)
        headers.update(found[0])
        return Completion.model_validate(msgspec.json.decode(found[1]))

    if not has_curl():
        tour.say(f"{_INDENT}curl is not installed, so Python asks the same.", "yellow")
    answer = _through_the_gateway(tour, question, ask)
    for name, value in headers.items():
        if name.startswith("x-quoth-"):
            tour.say(f"{_INDENT}{name}: {value}", "dim")
    _tell(tour, answer)


def _with_openai(tour: _Tour) -> None:
    """What a program written for OpenAI does: it changes the address and the key."""
    front, question = tour.in_front(), "Count from 1 to 5."
    tour.code(
        f'client = openai.OpenAI(base_url="{front.base_url}", api_key="{front.key}")\n'
        f'for chunk in client.chat.completions.create(model="{tour.model}", messages=messages, stream=True):\n'
        '    print(chunk.choices[0].delta.content or "", end="")'
    )

    def ask() -> Completion:
        if not installed:
            return _by_hand(tour, front, question)
        import openai

        messages: Any = _user(question)
        direct = openai.DefaultHttpxClient(trust_env=False)  # a proxy is for the world outside
        with openai.OpenAI(base_url=front.base_url, api_key=front.key, max_retries=0, http_client=direct) as client:
            try:
                chunks = list(
                    client.chat.completions.create(
                        model=tour.model,
                        messages=messages,
                        stream=True,
                        stream_options={"include_usage": True},
                        **tour.keywords,
                    )
                )
            except openai.OpenAIError as error:
                raise APIError(f"the openai client got no answer from the gateway: {error}") from None
        built = stream_chunk_builder([Chunk.model_validate(chunk.model_dump()) for chunk in chunks])
        assert built is not None
        return built

    installed = _installed("openai")
    if not installed:
        tour.say(f"{_INDENT}The openai package is not installed, so Quoth asks the same over HTTP.", "yellow")
    _tell(tour, _through_the_gateway(tour, question, ask))


def _through_the_gateway(tour: _Tour, question: str, ask: Callable[[], Completion]) -> Completion:
    """An answer that came by the gateway, counted like the others. Raises BudgetExceededError."""
    with Client(**tour.settings) as client:
        target = client._job(tour.model, _user(question), dict(tour.keywords)).plans[0].target()
    tab = Tab(current(), target, {"messages": _user(question), **tour.keywords})
    tab.before(lambda: BodyReader(0))()
    started = time.monotonic()
    try:
        with terminal.waiting(tour.model):
            answer = ask()
    except BaseException:
        tab.settle(None)
        raise
    trace = answer._trace
    trace.provider, trace.model, trace.seconds = target.provider, target.model, time.monotonic() - started
    trace.price = price_of(target)
    if target.provider == "poe":
        remember_trace(trace, target, datetime.now(UTC))
    tab.settle(answer.cost.usd)
    return answer


def _tell(tour: _Tour, answer: Completion) -> None:
    text = (answer.choices[0].message.content or "") if answer.choices else ""
    said = terminal.harmless(text, sys.stdout).replace("\n", f"\n{_INDENT}")
    tour.say(f"{_INDENT}{said}")
    seconds = answer._trace.seconds or 0.0
    tour.took(Told(tour.model, text, answer.usage, answer.cost, answer.warnings, seconds, answer))


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:
        return False  # somebody has put something else in its place


def _by_hand(tour: _Tour, front: Front, question: str) -> Completion:
    with Client(api_key=front.key, base_url=front.base_url) as client:
        answer = client.completion(f"custom_openai/{tour.model}", _user(question), stream=False, **tour.keywords)
    return Completion.model_validate(answer.model_dump())


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


_STEPS: tuple[tuple[str, Callable[[_Tour], None]], ...] = (
    ("A text call", _text),
    ("A stream", _stream),
    ("A tool call, and its result sent back", _tools),
    ("Several calls at once, with asyncio", _at_once),
)
# Poe's bots; other providers have none that can be called like this.
_MEDIA: tuple[tuple[str, Callable[[_Tour], None]], ...] = (
    ("A picture, drawn and saved", _image),
    ("A line, spoken", _speech),
    ("A clip", _clip),
)
_GATEWAY: tuple[tuple[str, Callable[[_Tour], None]], ...] = (
    ("The gateway in front, called with curl", _with_curl),
    ("The same gateway, called with the openai client", _with_openai),
)


def run(
    model: str | None,
    *,
    offline: bool,
    max_tokens: int,
    max_usd: float,
    clip: bool,
    serve: bool | None,
    as_json: bool,
) -> None:
    name = model_name(model)
    online = not offline and bool(validate_environment(name)["keys_in_environment"])
    if not online and not name.startswith("poe/"):
        if model is not None and not offline:
            online = True  # asked for by name: the call says which key is missing
        else:
            name = DEFAULT_MODEL
    if serve is None:
        serve = not as_json and terminal.is_terminal(sys.stdout) and terminal.is_terminal(sys.stdin)
    with ExitStack() as stack:
        emulator = None if online else _emulator(_PORT if serve else 0)
        settings: dict[str, Any] = {}
        if emulator is not None:
            stack.callback(emulator.stop)
            settings = {"provider": "poe", "api_key": KEY, "base_url": emulator.base_url}
        cap = None
        if online:
            cap = stack.enter_context(Budget(Decimal(str(max_usd)), "allow"))
        variables = {} if emulator is None else exports(emulator.base_url)

        def new_front() -> Front:
            provider = get_llm_provider(name)[1]
            return stack.enter_context(Front(provider, variables, usual=serve))

        tour = _Tour(name, settings, {"max_tokens": max_tokens}, as_json, cap, clip, new_front)
        _greet(tour, emulator, max_tokens)
        media = _MEDIA if name.startswith("poe/") else ()
        steps = [_taken(tour, *step) for step in enumerate((*_STEPS, *media, *_GATEWAY), 1)]
        charged = _charged(tour) if online and name.startswith("poe/") else None
        if as_json:
            total = {**_total_data(tour.answers), "charged_points": charged}
            terminal.print_json({"model": name, "offline": not online, "steps": steps, "total": total})
        else:
            _sum_up(tour, emulator, charged)
        if serve:
            _keep_serving(tour, emulator)


def _taken(tour: _Tour, number: int, step: tuple[str, Callable[[_Tour], None]]) -> dict[str, Any]:
    """One step, as data. What would go over the budget is left out."""
    title, take = step
    tour.say(f"{number}  {title}", "bold")
    answers, files, left_out = len(tour.answers), len(tour.files), None
    try:
        take(tour)
    except (BudgetExceededError, NoGateway) as error:
        left_out = str(error)
        tour.say(f"{_INDENT}Left out: {left_out}.", "yellow")
    tour.say()
    return {
        "title": title,
        "answers": [_as_data(answer) for answer in tour.answers[answers:]],
        "files": [{"kind": kind, "path": str(path)} for kind, path in tour.files[files:]],
        "left_out": left_out,
    }


def _charged(tour: _Tour) -> int | None:
    """What Poe's history says that the tour cost, in points; each answer gets its own. None when it does not say it of
    all answers by now."""
    try:
        with Client(**tour.settings) as client, terminal.waiting("points history"):
            found = client.reconcile(wait=_HISTORY)
    except QuothError:
        return None
    for answer in tour.answers:
        if answer.completion is not None:
            answer.cost = answer.completion.cost
    points = [answer.cost.points for answer in tour.answers if answer.cost.source == "provider"]
    known = [count for count in points if count is not None]
    return sum(known) if len(known) == len(tour.answers) and not found.missing else None


def _emulator(port: int) -> Emulator:
    """An emulator on the usual port, or on a free one where that is taken."""
    try:
        return Emulator(port).start()
    except OSError:
        return Emulator(0).start()


def _greet(tour: _Tour, emulator: Emulator | None, max_tokens: int) -> None:
    tour.say(f"Quoth {__version__}: one function for every model", "bold")
    if emulator is not None:
        tour.say(
            "This is offline: it talks to an emulator of Poe, started just now. No network, no cost. Its answers show\n"
            "that a program works, not what a model would say. With POE_API_KEY set, the tour talks to Poe itself."
        )
    else:
        assert tour.cap is not None
        model, provider, _, base = get_llm_provider(tour.model)
        tour.say(
            f"This talks to {provider} at {base} with {model}, on your account;\n"
            f"an answer takes {max_tokens} tokens at most, and all that has a known price costs "
            f"${tour.cap.usd.normalize():f} at most.\n`quoth demo --offline` needs no network and costs nothing."
        )
    tour.say()


def _sum_up(tour: _Tour, emulator: Emulator | None, charged: int | None) -> None:
    spent = [answer.cost for answer in tour.answers]
    tokens = tokens_text(
        Usage(
            prompt_tokens=_tokens(tour.answers, "prompt_tokens"),
            completion_tokens=_tokens(tour.answers, "completion_tokens"),
        )
    )
    would = "would have cost " if emulator is not None and any(cost.usd is not None for cost in spent) else ""
    tour.say(f"Total: {len(tour.answers)} calls · {tokens} · {would}{total_text(spent)}", "bold")
    if charged is not None:
        tour.say("That is what Poe's points history says.", "dim")
    elif dates := {cost.prices_as_of for cost in spent if cost.source == "estimated" and cost.prices_as_of}:
        truth = "`quoth usage` has the exact figure soon" if emulator is None else "the emulator charges nothing"
        tour.say(f"Estimated at Poe's prices of {max(dates)}; {truth}.", "dim")
    tour.say()
    tour.say("Next", "bold")
    quoth, key = _own_name(), "" if emulator is None else "POE_API_KEY=... "
    hints = (
        (f'{key}{quoth} chat "Hello"', "ask a model"),
        (f'{key}{quoth} image "A fox"', "draw; also speak, video, transcribe"),
        (f"{quoth} models claude", "what there is, and its price"),
        (f"{key}{quoth} serve", "the gateway, for programs of any language"),
        (f"{quoth} emulate", "an offline Poe for your own tests"),
        ("from quoth import completion", "the same in Python: see README.md"),
    )
    width = max(len(command) for command, _ in hints)
    for command, why in hints:
        tour.say(f"{_INDENT}{command:<{width}}   {why}")


def _own_name() -> str:
    """How this command can be called again: by its name if that is on the PATH, else as it was called."""
    if shutil.which("quoth"):
        return "quoth"
    return sys.argv[0] if os.path.basename(sys.argv[0]) == "quoth" else "python -m quoth"


def _keep_serving(tour: _Tour, emulator: Emulator | None) -> None:
    if emulator is None and tour.front is None:
        return
    try:
        _serve_on(tour, emulator)
    except KeyboardInterrupt:  # also while it is still being said that Ctrl-C ends it
        pass
    terminal.note("\nStopped.")


def _serve_on(tour: _Tour, emulator: Emulator | None) -> None:
    if emulator is not None:
        terminal.note(f"\nThe emulator goes on at {emulator.base_url}, until Ctrl-C. In another terminal:", "bold")
        terminal.write(
            "".join(f"{_INDENT}export {name}={value}\n" for name, value in exports(emulator.base_url).items())
        )
    front = tour.front
    if front is None:
        threading.Event().wait()
    else:
        terminal.note(f"\nThe gateway goes on at {front.base_url}, key {front.key}, until Ctrl-C:", "bold")
        terminal.write(f"{shown(front.curl(tour.model, _user('Hello'), {}))}\n")
        front.wait()


def _user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def _sum(answers: Iterable[Told]) -> Cost:
    first, *others = (answer.cost for answer in answers)
    return sum(others, start=first)


def _tokens(answers: Iterable[Told], name: str) -> int | None:
    """The sum of one count; None when it is not known of every answer."""
    counts: list[int | None] = [getattr(answer.usage, name, None) for answer in answers]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _as_data(answer: Told) -> dict[str, Any]:
    usage = None if answer.usage is None else answer.usage.model_dump(mode="json")
    calls = []
    if answer.completion is not None and answer.completion.choices:
        calls = [call.model_dump(mode="json") for call in answer.completion.choices[0].message.tool_calls or ()]
    return {"text": answer.text, "tool_calls": calls, "usage": usage, **costs(answer)}


def _total_data(answers: list[Told]) -> dict[str, Any]:
    known = [answer for answer in answers if answer.cost.usd is not None]
    return {
        "calls": len(answers),
        "cost": costs(Told("", cost=_sum(known)))["cost"] if known else None,
        "without_cost": len(answers) - len(known),
        "prompt_tokens": _tokens(answers, "prompt_tokens"),
        "completion_tokens": _tokens(answers, "completion_tokens"),
    }
