"""Everything that one set of settings decides. A reload makes a new Generation; requests under way keep theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quoth._version import __version__
from quoth.call import FixedHeaders, Target, WireRequest
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import World
from quoth.engine.routing import Candidate, Deployment, Group, Routes, deployment_from, options_from
from quoth.errors import NotFoundError, QuothError
from quoth.gateway.native import NativeShape
from quoth.gateway.pricing import Price
from quoth.gateway.settings import Settings
from quoth.gateway.shape import Shape
from quoth.providers.catalogue import Catalogue, known
from quoth.providers.costs import facts_of
from quoth.providers.wires import wires_of
from quoth.transport.network import Network
from quoth.wire.wires import Wire, wire_named

__all__ = ["Generation"]

# Names behind wildcards are the callers' to choose, so what is kept of them has a bound.
_KEPT = 2000


class Generation:
    """`previous`: the generation before, whose health, paces and counters go on. Raises QuothError for settings that
    cannot be served."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        world: World,
        catalogue: Callable[[str], Catalogue],
        previous: Generation | None = None,
    ):
        self.settings = settings
        self.environment = settings.environ(environment)
        self.registry = settings.registry()
        self.catalogue = catalogue
        headers = {"user-agent": f"quoth/{__version__}", "accept-encoding": "identity"}
        self.deployments: list[Deployment] = [
            deployment_from(
                {
                    "model_name": entry.model_name,
                    "litellm_params": _with_quirks(entry.litellm_params, settings),
                    "model_info": entry.model_info,
                },
                self.registry,
                self.environment,
                where=entry.where,
                headers=headers,
                catalogue=catalogue,
            )
            for entry in settings.models
        ]
        self.mocks = any(deployment.mock for deployment in self.deployments)
        self.aliases = {
            name: {"model": model, "hidden": name in settings.hidden_aliases}
            for name, model in settings.aliases.items()
        }
        pacing = settings.quoth.pacing
        self.routes: Routes = Routes(
            self.deployments,
            options_from({"max_wait": pacing.max_wait, "key_rpm": pacing.rpm, **settings.routing}),
            aliases=self.aliases,
            world=world,
            previous=None if previous is None else previous.routes,
        )
        budget = settings.quoth.retry_budget
        self.budget: RetryBudget = (
            previous.budget if previous is not None else RetryBudget(world.now, budget.ratio, budget.per_second)
        )
        self.master = settings.master_key.encode() if settings.master_key else None
        # Nobody has to say who calls, so that it has to be somebody at this machine.
        self.for_here = self.master is None and not settings.weak_key_permitted
        network = settings.network
        self.network = Network(network.proxy, network.ssl_verify, network.client_cert)
        self._shapes: dict[tuple[Candidate, str], Shape] = {}
        self._prices: dict[Candidate, Price] = {}
        self._known: dict[Group, str] = {}
        self._natives: dict[tuple[Candidate, str], NativeShape] = {}
        self._heads: dict[tuple[Candidate, str, bool], WireRequest] = {}
        self._wires: dict[Candidate, tuple[str | None, ...]] = {}

    def group(self, name: str) -> Group:
        """Raises NotFoundError that names what there is."""
        found = self.routes.find(name)
        if found is not None:
            return found
        raise NotFoundError(self._unknown(name), model=name, param="model")

    def known(self, group: Group) -> str:
        """A group's name, where the settings or the catalogue know it; "" for what a caller made up behind a
        wildcard. Metrics are told apart by it."""
        name = self._known.get(group)
        if name is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            name = self._known[group] = self._name_of(group)
        return name

    def _name_of(self, group: Group) -> str:
        candidate = group.candidates[0]
        if "*" not in candidate.deployment.model_name:
            return group.name
        facts = facts_of(candidate.target)
        return "" if facts is None else f"{candidate.target.provider}/{facts.id}"

    def shape(self, candidate: Candidate, path: str = "/chat/completions") -> Shape:
        shape = self._shapes.get((candidate, path))
        if shape is None:
            if len(self._shapes) >= _KEPT:
                self._shapes.clear()
            over_chat = self.wires(candidate)[0] is None
            shape = Shape(candidate, drop_params=self.settings.drop_params, path=path, over_chat=over_chat)
            self._shapes[candidate, path] = shape
        return shape

    def native(self, candidate: Candidate, wire: str) -> NativeShape:
        shape = self._natives.get((candidate, wire))
        if shape is None:
            if len(self._natives) >= _KEPT:
                self._natives.clear()
            shape = self._natives[candidate, wire] = NativeShape(candidate, wire_named(wire))
        return shape

    def head(self, candidate: Candidate, wire: Wire, target: Target, stream: bool) -> WireRequest:
        """What every request to a candidate over a wire begins with; `target` is the candidate's."""
        key = candidate, wire.name, stream
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _KEPT:
                self._heads.clear()
            made = wire.head(target, stream)
            head = self._heads[key] = WireRequest(made.method, made.url, FixedHeaders(made.headers))
        return head

    def wires(self, candidate: Candidate) -> tuple[str | None, ...]:
        """The wires that a candidate is served over. The first is None where chat is among them, which is all that a
        caller of chat has to know."""
        found = self._wires.get(candidate)
        if found is None:
            if len(self._wires) >= _KEPT:
                self._wires.clear()
            target = candidate.target
            served = (target.wire,) if target.fixed_wire else wires_of(target, facts_of(target))
            found = self._wires[candidate] = (None if "openai_chat" in served else "other", *served)
        return found

    def price(self, candidate: Candidate) -> Price:
        price = self._prices.get(candidate)
        if price is None:
            if len(self._prices) >= _KEPT:
                self._prices.clear()
            price = self._prices[candidate] = Price(candidate)
        return price

    def _unknown(self, name: str) -> str:
        import difflib

        names = self.routes.names()
        exact = [one for one in names if "*" not in one]
        near = difflib.get_close_matches(name, exact, n=3, cutoff=0.5)
        guess = f" Did you mean {' or '.join(near)}?" if near else ""
        there = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
        return f"there is no model {name[:200]!r} here.{guess} There is: {there}. GET /v1/models lists them"


def _with_quirks(params: Mapping[str, object], settings: Settings) -> Mapping[str, object]:
    off = settings.quoth.disable_quirks
    return {**params, "disable_quirks": list(off)} if off and "disable_quirks" not in params else params


def shipped(url: str) -> Catalogue:
    """The catalogue of the package, for any base URL."""
    return known()


def checked(settings: Settings, environment: Mapping[str, str], world: World) -> str | None:
    """Why these settings cannot be served; None when they can."""
    try:
        Generation(settings, environment, world, shipped)
    except QuothError as error:
        return str(error)
    return None
