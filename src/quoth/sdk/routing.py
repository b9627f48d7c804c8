"""One call of a Router: from keywords to the flow that the engine routes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as changed

from quoth import errors
from quoth.call import Target, Timeouts
from quoth.engine import check
from quoth.engine.attempts import Answer, Plan, calls_of
from quoth.engine.chat import repaired
from quoth.engine.effects import Flow, Together
from quoth.engine.merge import merged
from quoth.engine.purse import Tab
from quoth.engine.routing import Candidate, Controls, Group, Journey, Routes, Try, routed
from quoth.engine.routing.chatting import Reader, trying
from quoth.providers.controls import INERT, MOCKS
from quoth.providers.costs import priced
from quoth.sdk import budget
from quoth.sdk.arguments import CREDENTIALS, flag, headers_of, names_of, retries_of, said, timeouts_of
from quoth.sdk.attachments import with_attachments
from quoth.sdk.core import Core
from quoth.sdk.past import remember
from quoth.sdk.shelf import SHELF
from quoth.transport.mock import ON_PURPOSE, TESTING, mocked, tested, waiting
from quoth.types import Completion, Warning

__all__ = ["Asked", "group_of"]

# What belongs to the deployments, not to a call that may go to any of them.
_OF_THE_DEPLOYMENTS = (
    "api_base",
    "api_key",
    "base_url",
    "client",
    "context_window_fallback_dict",
    "custom_llm_provider",
)
# Keywords that steer the router and are read here.
_STEERING = ("disable_fallbacks", "fallbacks", "max_retries", "num_retries", "stream", "tags", *TESTING)


def group_of(routes: Routes, model: Any) -> Group:
    """Raises NotFoundError with the nearest names."""
    if not isinstance(model, str):
        raise errors.BadRequestError(f"model is {model!r}; it has to be the name of a model group", param="model")
    group = routes.find(model)
    if group is None:
        near = difflib.get_close_matches(model, routes.names(), 1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        names = ", ".join(routes.names()[:20]) or "none"
        raise errors.NotFoundError(
            f"this router has no model {model!r}.{guess} It has: {names}", model=model, param="model"
        )
    return group


class Asked:
    """A call as it was asked for. Raises BadRequestError for what cannot be sent to anybody, NotFoundError for a group
    that there is not."""

    def __init__(
        self,
        core: Core,
        routes: Routes,
        model: Any,
        messages: Any,
        keywords: Mapping[str, Any],
        warnings: Sequence[Warning] = (),
    ):
        self._core, self._routes = core, routes
        given = said(keywords)
        for name in _OF_THE_DEPLOYMENTS:
            if name in given:
                raise errors.BadRequestError(f"{name} is for the deployments of a Router to say", param=name)
        self._group = group_of(routes, model)
        self._stream = flag(given, "stream", False)
        self._controls = _controls(given, stream=self._stream)
        self._fails = tested(given)
        self._timeouts = self._controls.timeouts or Timeouts()
        self._mock = {name: given.pop(name) for name in MOCKS if name in given}
        for name in _STEERING:
            given.pop(name, None)
        headers = {**headers_of(given.pop("extra_headers", None)), **headers_of(given.pop("headers", None))}
        for name in headers:
            if name in CREDENTIALS:
                raise errors.BadRequestError(
                    f"the header {name} says who is calling, which is for the deployments to say", param="extra_headers"
                )
        self._headers, self._query = headers, given.pop("extra_query", None)
        self.warnings = [
            *warnings,
            *(
                Warning("no_effect", name, f"{name} is a keyword of LiteLLM that has no effect here")
                for name in given
                if name in INERT
            ),
        ]
        self._messages = check.messages_of(with_attachments(messages))
        self._given = given

    def flow(self) -> Flow[Answer]:
        """Raises QuothError, with all attempts."""
        if self._mock:
            # Nobody is called, so nothing is spent.
            yield from waiting(self._mock, self._timeouts)
        core = self._core
        purse = None if self._mock else budget.current()
        count = self._count()
        first = (yield from self._one(self._given)) if count == 1 else (yield from self._several(count))
        return remember((yield from repaired(first, core.world, core.budget, purse)), core.world)

    def _count(self) -> int:
        """How many calls stand for this one, as for `quoth.engine.attempts.answer`."""
        if self._given.get("n") in (None, 1) or self._mock:
            return 1
        candidate = self._group.candidates[0]
        return calls_of(self._plan(candidate, self._given, None).call, candidate.target)

    def _several(self, count: int) -> Flow[Answer]:
        single = {name: value for name, value in self._given.items() if name != "n"}
        found: list[Answer] = yield Together([self._one(single) for _ in range(count)])
        last = found[-1]
        whole = merged([one.completion for one in found if one.completion is not None], last.target.provider)
        return Answer(last.target, last.plan, whole._trace, completion=whole)

    def _one(self, given: Mapping[str, Any]) -> Flow[Answer]:
        core, journey = self._core, Journey()
        now = core.world.now
        started = now()
        tabs: list[Tab] = []

        def attempt(candidate: Candidate) -> Try[Reader, Answer]:
            if self._fails is not None and journey.fallbacks == 0:
                raise self._fails(ON_PURPOSE, model=self._group.name)
            plan = self._plan(candidate, given, journey.overrides)
            # What the call itself says of a delay has passed already.
            mock = {**candidate.deployment.mock, **self._mock, **({"mock_delay": 0} if self._mock else {})}
            purse = None if mock else budget.current()
            made, tab = trying(plan, plan.target(), core.world, journey.attempts, purse)
            tabs.append(tab)
            if mock:
                limits = self._controls.timeouts or candidate.deployment.timeouts
                until = None if limits is None else limits.total
                made.request = mocked(made.request, mock, stream=made.streams, timeout=until)
            return made

        try:
            found = yield from routed(
                self._routes,
                self._group,
                attempt,
                caller="",
                controls=self._controls,
                journey=journey,
                world=core.world,
                budget=core.budget,
            )
        except BaseException:
            for tab in tabs:
                tab.settle(None)  # given up while it was under way
            raise
        candidate = journey.candidate
        assert candidate is not None
        if candidate.deployment.price is not None:
            found.trace.price = priced(candidate.deployment.price)
        found.trace.seconds = now() - started
        self._until_its_end(found, candidate, journey.estimated, tabs[-1])
        return found

    def _until_its_end(self, found: Answer, candidate: Candidate, estimated: int, tab: Tab) -> None:
        """Say how it ended: now, or when the stream has."""
        now = self._core.world.now
        begun = now() - found.trace.attempts[-1].seconds

        def ended(how: Completion | errors.QuothError | None) -> None:
            if how is None:
                candidate.released()
            elif isinstance(how, errors.QuothError):
                candidate.failed(now(), how)
            else:
                usage = how.usage
                tokens, said = (0, 0) if usage is None else (usage.total_tokens or 0, usage.completion_tokens or 0)
                first = found.trace.attempts[-1].seconds if found.completion is None else None
                candidate.succeeded(now(), first, now() - begun, tokens, answer_tokens=said, estimated=estimated)

        if found.completion is None:
            found.done = ended
            return
        if tab.reservation is not None and found.trace.price is not None:
            tab.settle(found.trace.price(found.completion).usd)
        ended(found.completion)

    def _plan(self, candidate: Candidate, given: Mapping[str, Any], overrides: Mapping[str, Any] | None) -> Plan:
        """The call as this candidate gets it: its deployment's parameters, the caller's over them, a fallback's over
        those."""
        deployment = candidate.deployment
        own = {} if overrides is None else said(overrides)
        conversation = self._messages
        if "messages" in own:
            conversation = check.messages_of(with_attachments(own.pop("messages")))
        keywords: dict[str, Any] = {**deployment.params, **given, **own}
        if deployment.drop_params is not None:
            keywords.setdefault("drop_params", deployment.drop_params)
        for name in ("additional_drop_params", "allowed_openai_params"):
            if mine := getattr(deployment, name):
                keywords[name] = (*mine, *names_of(keywords.get(name), name))
        target = self._target(candidate.target)
        plan = self._core.plan(f"{target.provider}/{target.model}", conversation, keywords, self._stream)
        return changed(plan, target=lambda: target)

    def _target(self, target: Target) -> Target:
        changes: dict[str, Any] = {}
        if target.catalogue is not None and (newest := SHELF.current(target.base_url)) is not target.catalogue:
            changes["catalogue"] = newest
        if self._headers:
            changes["headers"] = {**target.headers, **self._headers}
        if self._query:
            changes["query"] = {**(target.query or {}), **self._query}
        return replace(target, **changes) if changes else target


def _controls(given: Mapping[str, Any], *, stream: bool) -> Controls:
    retries = given.get("num_retries", given.get("max_retries"))
    timeout = given.get("timeout", given.get("request_timeout"))
    if stream:
        timeout = given.get("stream_timeout", timeout)
    metadata = given.get("metadata")
    tags = given.get("tags") or (metadata.get("tags") if isinstance(metadata, Mapping) else None)
    return Controls(
        num_retries=None if retries is None else retries_of(retries),
        timeouts=None if timeout is None else timeouts_of(timeout),
        fallbacks=_fallbacks(given.get("fallbacks")),
        disable_fallbacks=flag(given, "disable_fallbacks", False),
        tags=names_of(tags, "tags"),
        streams=stream,
    )


def _fallbacks(value: Any) -> list[Any] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise errors.BadRequestError("fallbacks has to be a list of model groups or objects", param="fallbacks")
    for number, entry in enumerate(value):
        name = entry.get("model") if isinstance(entry, Mapping) else entry
        if not isinstance(name, str):
            where = f"fallbacks[{number}]"
            raise errors.BadRequestError(
                f"{where} has to be a model group, or an object with one as model", param=where
            )
    return list(value)
