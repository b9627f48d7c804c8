"""`client.models.list()`, in openai's shape: the provider's own list, fetched when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field, ValidationError

from quoth.engine.fetch import fetch
from quoth.errors import BadGatewayError, NotFoundError
from quoth.sdk.core import Core
from quoth.types import Record

__all__ = ["Model", "ModelList", "listing", "read_list"]


class Model(Record):
    """A model as its provider lists it. Poe's `created` is Unix milliseconds, OpenAI's seconds."""

    id: str
    object: str | None = None
    created: int | None = None
    owned_by: str | None = None


class ModelList(Record):
    """All models; iterate it, or read `.data`."""

    object: str | None = None
    data: list[Model] = Field(default_factory=list)

    def __iter__(self) -> Iterator[Model]:  # type: ignore[override]
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def find(self, model: str) -> Model:
        """Raises NotFoundError."""
        for one in self.data:
            if one.id.lower() == model.lower():
                return one
        raise NotFoundError(f"there is no model {model!r} in the list", model=model)


def listing(core: Core, provider: str | None) -> Any:
    """The flow that fetches a provider's list of models."""
    target = core.provider_target(provider)
    return fetch(target, "/models", core.policy(), core.world, core.budget)


def read_list(data: Any) -> ModelList:
    if isinstance(data, list):
        data = {"object": "list", "data": data}
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise BadGatewayError("the provider's list of models is not a list", code="bad_upstream_response")
    try:
        return ModelList.model_validate(data)
    except ValidationError as wrong:
        problem = wrong.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        message = f"the provider's list of models is not one: {place}: {problem['msg']}"
        raise BadGatewayError(message, code="bad_upstream_response") from None
