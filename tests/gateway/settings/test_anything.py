"""Whatever stands in a file, the outcome is Settings or a refusal with reasons: never another error, never a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quoth.gateway.settings import Refused, Settings, load
from quoth.gateway.settings.known import TOP, known
from quoth.gateway.settings.own import OWN
from tests.gateway.settings.conftest import KEYS

SECRET = "hunter2-hunter2-hunter2"
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.sampled_from(["", "poe/A", "poe/*", "*", "a", "b", "os.environ/SECRET", "os.environ/NOWHERE", "30s", "1MiB"]),
    st.text(max_size=6),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["model", "a", "b", "hidden", "ttl", "<<", "*"]), inner, max_size=3),
    ),
    max_leaves=6,
)


def of(*names: str) -> st.SearchStrategy[Any]:
    return st.one_of(VALUES, st.dictionaries(st.sampled_from(sorted(names)), VALUES, max_size=5))


MODELS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "model_name": LEAVES,
            "litellm_params": st.one_of(
                VALUES,
                st.builds(
                    lambda model, more: {**more, "model": model},
                    st.sampled_from(["poe/A", "poe/*", "*", "openai/x", "azure/x", "x", "os.environ/SECRET"]),
                    st.dictionaries(st.sampled_from(sorted(known()["litellm_params"])), VALUES, max_size=4),
                ),
            ),
            "model_info": of(*known()["model_info"]),
        },
    ),
    max_size=3,
)
QUOTH = st.fixed_dictionaries({}, optional={name: of(*keys) for name, keys in OWN.items() if name}) | of(*OWN[""])
FILES = st.fixed_dictionaries(
    {},
    optional={
        "model_list": st.one_of(VALUES, MODELS),
        "litellm_settings": of(*known()["litellm_settings"]),
        "router_settings": of(*known()["router_settings"]),
        "general_settings": of(*known()["general_settings"]),
        "credential_list": VALUES,
        "environment_variables": VALUES,
        "include": VALUES,
        "quoth": QUOTH,
        **{name: VALUES for name, fact in known()[TOP].items() if fact.kind != "works"},
    },
)


BYTES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(str.encode),
    st.text("&*a:- \n[]{}!|>'\"#\t,?", max_size=40).map(str.encode),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=FILES)
def test_any_tree(content: Any, tmp_path: Path) -> None:
    held(yaml.safe_dump(content, allow_unicode=True).encode(), tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=BYTES)
def test_any_bytes(content: bytes, tmp_path: Path) -> None:
    held(content, tmp_path)


def held(content: bytes, folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_bytes(content)
    loaded = outcome(str(path))
    if isinstance(loaded, Refused):
        assert any(problem.severity == "error" for problem in loaded.problems)
        assert SECRET not in str(loaded)
        return
    packed = msgspec.msgpack.encode(loaded)
    assert msgspec.msgpack.encode(msgspec.msgpack.decode(packed, type=Settings)) == packed
    assert SECRET not in f"{loaded!r} {loaded.warnings}"


def outcome(path: str) -> Settings | Refused:
    try:
        return load(path, {**KEYS, "SECRET": SECRET})
    except Refused as refused:
        return refused
