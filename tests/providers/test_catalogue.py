"""The catalogue: what is shipped, what a fetched list says, what is put right, and what a fresh list refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from quoth.call import Call, Target
from quoth.errors import BadRequestError
from quoth.providers.catalogue import (
    RETIRED,
    Catalogue,
    Source,
    Unlisted,
    corrected,
    corrections,
    from_bytes,
    from_list,
    known,
    shipped,
    to_bytes,
)
from quoth.providers.params import prepare
from quoth.providers.rows import Registry

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROW: dict[str, Any] = {
    "id": "painter",
    "object": "model",
    "created": 1_738_780_524_168,
    "owned_by": "Acme",
    "architecture": {"input_modalities": ["text"], "output_modalities": ["image"]},
    "supported_features": [],
    "supported_endpoints": [],
    "pricing": {"prompt": None, "completion": None, "image": None, "request": "0.045", "input_cache_read": None},
    "context_window": {"context_length": 480, "max_output_tokens": None},
    "metadata": {"display_name": "Painter"},
    "reasoning": None,
    "parameters": [
        {"name": "aspect", "schema": {"enum": ["1:1", "16:9"]}, "default_value": "1:1"},
        {"name": "steps", "schema": {"type": "number", "minimum": 1, "maximum": 50}},
        {"name": "raw", "schema": {"type": "boolean"}, "default_value": False},
    ],
}


def live(*rows: Any, age: timedelta = timedelta()) -> Catalogue:
    return from_list({"object": "list", "data": [*rows]}, Source("GET", "2026-11-23", (NOW - age).timestamp()))


def target(catalogue: Catalogue, model: str = "Painter") -> Target:
    row = Registry().get("poe")
    assert row is not None
    return Target(row, model, row.base_url, catalogue=catalogue)


def test_a_row_of_poes_list() -> None:
    facts = live(ROW).get("Painter")
    assert facts is not None
    assert (facts.display_name, facts.owned_by, facts.created_ms) == ("Painter", "Acme", 1_738_780_524_168)
    assert facts.price == {"request": "0.045"}
    assert (facts.context_window, facts.max_output_tokens, facts.makes_media) == (480, None, True)
    aspect, steps, raw = facts.parameters or ()
    assert (aspect.enum, aspect.default, aspect.type) == (("1:1", "16:9"), "1:1", None)
    assert (steps.range, raw.type, raw.default) == ("between 1 and 50", "boolean", False)


def test_unknown_is_none_and_unknown_fields_do_no_harm() -> None:
    facts = live({"id": "new", "smell": 3, "pricing": None, "reasoning": {"supports_reasoning_effort": ["low"]}}).get(
        "new"
    )
    assert facts is not None
    assert (facts.price, facts.parameters, facts.supported_features, facts.context_window) == (None,) * 4


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"data": {}},
        {"data": []},
        {"data": ["a"]},
        {"data": [{"object": "model"}]},
        {"data": [ROW, {"id": ""}]},
        {"data": [{**ROW, "context_window": {"context_length": "long"}}]},
        {"data": [{**ROW, "parameters": [{"schema": {}}]}]},
        {"data": [{**ROW, "parameters": 3}]},
    ],
)
def test_a_broken_list_is_none(data: Any) -> None:
    with pytest.raises(Unlisted):
        from_list(data, Source("GET", "2026-11-23"))


@pytest.mark.parametrize("data", [b"", b"{", b'{"sources":[],"models":[]}', b'{"sources":[],"models":[{"id":"a"}]}'])
def test_a_broken_copy_is_none(data: bytes) -> None:
    with pytest.raises(Unlisted):
        from_bytes(data)


def test_a_copy_is_what_was_copied() -> None:
    again = from_bytes(to_bytes(live(ROW)))
    assert list(again) == list(live(ROW))
    assert again.sources == live(ROW).sources


def test_what_is_no_longer_listed_is_retired_and_not_suggested() -> None:
    catalogue = live(ROW, {**ROW, "id": "grok-4.1"}).over(shipped())
    gone = catalogue.get("grok-4")
    assert gone is not None
    assert gone.status == RETIRED
    assert catalogue.source(gone).date == "2026-04-01"
    assert catalogue.near("grok-4") == ["grok-4.1"]
    assert catalogue.source(catalogue.get("painter") or gone).fetched is not None


# --- Corrections ------------------------------------------------------------------------------------------------------


def test_every_correction_says_why_and_whence() -> None:
    names = [entry.name for entry in corrections()]
    assert len(names) == len(set(names))
    for entry in corrections():
        assert entry.reason.endswith(".")
        assert entry.source
        assert datetime.fromisoformat(entry.date)


@pytest.mark.parametrize(
    ("model", "name", "field", "before", "after"),
    [
        ("gpt-4o-search", "no_tools", "supported_features", ("tools",), ()),
        ("gpt-image-1-mini", "answers_chat", "supported_endpoints", (), ("/v1/chat/completions",)),
        ("veo-3.1", "prompt_is_no_window", "context_window", 480, None),
        ("veo-3.1", "prompt_is_no_window", "prompt_limit", None, 480),
    ],
)
def test_what_is_put_right_in_the_shipped_list(model: str, name: str, field: str, before: Any, after: Any) -> None:
    raw, right = shipped().get(model), known().get(model)
    assert raw is not None
    assert right is not None
    assert (getattr(raw, field), getattr(right, field)) == (before, after)
    assert name in right.corrections
    without = corrected(shipped(), corrections(), {name}).get(model)
    assert without is not None
    assert getattr(without, field) == before
    assert corrected(shipped(), corrections(), {"all"}).get(model) == raw


def test_a_list_that_is_right_is_left_alone() -> None:
    rows = [
        {**ROW, "id": "gpt-5.4-mini", "architecture": {"output_modalities": ["image"]}},
        {**ROW, "id": "gpt-5.4", "architecture": {"output_modalities": ["text"]}, "context_window": None},
    ]
    mini, large = corrected(live(*rows), corrections())
    assert (mini.output_modalities, mini.makes_media) == (("text", "image"), False)
    assert "writes_text" not in large.corrections


def test_prices_are_those_that_the_emulator_bills() -> None:
    """A correction of a price would part the two; what the recording says stands in the shipped list itself."""
    assert [model.price for model in known()] == [model.price for model in shipped()]
    speech = known().get("minimax-speech-2.8")
    assert speech is not None
    assert speech.price == {"request": "0.00"}


def test_rows_of_ones_own_outweigh_corrections() -> None:
    facts = known().get("minimax-speech-2.8")
    assert facts is not None
    own = msgspec.structs.replace(facts, price={"request": "0.5"})
    found = known().with_rows([own], Source("register_model", "2026-11-23")).get("minimax-speech-2.8")
    assert found is not None
    assert found.price == {"request": "0.5"}


# --- What a fresh list refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{"aspect": "4:3"}, {"steps": 51}, {"steps": 0}])
def test_a_fresh_list_refuses_what_it_does_not_declare(params: dict[str, Any]) -> None:
    call = Call("poe/Painter", [], params)
    with pytest.raises(BadRequestError, match="fetched less than a day ago") as caught:
        prepare(call, target(live(ROW, age=timedelta(hours=23))), NOW)
    assert caught.value.param == next(iter(params))


@pytest.mark.parametrize(
    ("catalogue", "now"),
    [
        (live(ROW, age=timedelta(hours=24)), NOW),
        (live(ROW, age=timedelta(hours=-1)), NOW),
        (live(ROW), None),
        (from_list([ROW], Source("a file", "2026-11-23")), NOW),
    ],
    ids=["a day old", "of the future", "no clock", "not fetched"],
)
def test_an_old_list_only_doubts(catalogue: Catalogue, now: datetime | None) -> None:
    body, warnings = prepare(Call("poe/Painter", [], {"aspect": "4:3"}), target(catalogue), now)
    assert body["aspect"] == "4:3"
    assert "doubtful_value" in [warning.code for warning in warnings]


@pytest.mark.parametrize("params", [{"aspect": "16:9"}, {"steps": "8"}, {"raw": "perhaps"}, {"shade": 3}])
def test_a_fresh_list_refuses_nothing_else(params: dict[str, Any]) -> None:
    """Neither what is coerced without loss, nor a type, nor a parameter that it does not know, nor a model."""
    prepare(Call("poe/Painter", [], params), target(live(ROW)), NOW)
    prepare(Call("poe/Nobody", [], params), target(live(ROW), "Nobody"), NOW)


def test_a_retired_model_is_called_with_a_warning() -> None:
    catalogue = live({**ROW, "id": "grok-4.1"}).over(shipped())
    body, warnings = prepare(Call("poe/Grok-4", []), target(catalogue, "Grok-4"), NOW)
    assert body["model"] == "Grok-4"
    assert [(warning.code, "grok-4.1" in warning.message) for warning in warnings] == [("retired_model", True)]
