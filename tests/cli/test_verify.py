"""`quoth verify`: it holds against both profiles of the emulator, and notices every fact that is changed there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quoth.emulator import Emulator
from quoth.emulator import facts as emulated_facts
from quoth.emulator.changes import CHANGES
from quoth.transport.blocking import BlockingTransport
from quoth.transport.network import Network
from quoth.verify import PROBES, Asker, Run, facts, verify
from tests.cli.running import Quoth

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "a-very-secret-key"
NAMES = {fact.name for fact in facts()}

# Where the documentation says otherwise than the recordings, which are believed.
DOCUMENTED_OTHERWISE = {
    "balance_fields",
    "chat_members",
    "error_codes",
    "messages_errors_as_text",
    "rate_limit_headers",
    "reasoning_effort",
    "response_format",
    "responses_instructions",
    "responses_previous",
}


@contextmanager
def poe(**switches: Any) -> Iterator[Emulator]:
    with Emulator(token_delay=0, **switches) as emulator:
        yield emulator


def run(emulator: Emulator, *, cap: str = "0.05", only: tuple[str, ...] = ()) -> Run:
    transport: Any = BlockingTransport(Network(), lambda: os.environ)
    try:
        return verify(Asker(emulator.base_url, KEY, transport, Decimal(cap)), live=True, only=only)
    finally:
        transport.close()


def verdicts(found: Run, verdict: str) -> set[str]:
    return {finding.fact.name for finding in found.findings if finding.verdict == verdict}


def test_every_probe_has_a_fact_and_every_fact_a_probe() -> None:
    assert {fact.probe for fact in facts()} == PROBES.keys()
    assert len(NAMES) == len(facts())
    assert len(PROBES) >= 45
    assert emulated_facts(), "the emulator has a list of its own, which is longer"


def test_all_is_still_true_of_the_observed_profile() -> None:
    with poe() as emulator:
        found = run(emulator)
        spent = 10_000_000 - emulator.balance
    assert verdicts(found, "still true") == NAMES
    assert found.charged_points == spent
    assert Decimal(0) < found.asker.spent < Decimal("0.01")
    assert abs(found.asker.spent - Decimal(spent) / 33_000) < Decimal("0.001")


def test_it_notices_what_the_documented_profile_does_otherwise() -> None:
    with poe(profile="documented") as emulator:
        found = run(emulator)
    assert verdicts(found, "changed") == DOCUMENTED_OTHERWISE
    assert not verdicts(found, "unknown")


@pytest.mark.parametrize("profile", ["observed", "documented"])
def test_it_notices_several_changes_and_only_those(profile: str) -> None:
    changes = (
        "stream_order",
        "n",
        "tools_need_properties",
        "balance_shape",
        "developer_role",
        "refuses_seed",
        "chat_id",
    )
    with poe(profile=profile, facts_changed=changes) as emulator:
        found = run(emulator)
    expected = {name.replace("refuses_", "parameter_") for name in changes}
    assert verdicts(found, "changed") == expected | (DOCUMENTED_OTHERWISE if profile == "documented" else set())
    assert not verdicts(found, "unknown")


def fact_of(change: str) -> str:
    """The fact that a change of the emulator breaks."""
    if not change.startswith("refuses_"):
        return change
    name = change.removeprefix("refuses_")
    if f"parameter_{name}" in NAMES:
        return f"parameter_{name}"
    return {"max_tokens": "max_tokens", "stop": "stop", "stream_options": "stream_usage"}.get(name, "parameters_taken")


@pytest.mark.parametrize("change", CHANGES)
def test_it_notices_each_change(change: str) -> None:
    fact = fact_of(change)
    # What is judged from other probes' answers needs those.
    beside = ("unknown_model_status", "bad_key_status") if fact.startswith("error_") else ()
    with poe(facts_changed=(change,), past_rows=5) as emulator:
        found = run(emulator, only=(fact, *beside))
    (finding,) = (one for one in found.findings if one.fact.name == fact)
    assert finding.verdict == "changed", finding.evidence
    assert finding.evidence


@pytest.mark.parametrize(
    "fault", ["status=500", "status=429", "status=402", "status=503; body=html", "reset=before", "body=truncated"]
)
def test_what_says_nothing_is_unknown(fault: str) -> None:
    with poe(faults=(fault,)) as emulator:
        found = run(emulator)
    assert not verdicts(found, "changed")
    assert len(verdicts(found, "unknown")) > 50
    assert found.charged_points is None


def test_the_cap_is_kept() -> None:
    with poe() as emulator:
        found = run(emulator, cap="0.004")
        assert Decimal(10_000_000 - emulator.balance) / 33_000 <= Decimal("0.004")
    unknown = {one.fact.name: one.evidence for one in found.findings if one.verdict == "unknown"}
    assert "response_format" in unknown
    assert "not asked: the budget of $0.004: a call that can cost up to" in unknown["response_format"]
    assert not verdicts(found, "changed")
    with poe() as emulator:
        found = run(emulator, cap="0")
        assert emulator.balance == 10_000_000
    assert {"models_public", "balance_shape", "bad_key_status", "method_status"} <= verdicts(found, "still true")


def test_what_caps_the_process_caps_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOTH_MAX_USD", "0")
    with poe() as emulator:
        found = run(emulator)
        assert emulator.balance == 10_000_000
    (text,) = (one.evidence for one in found.findings if one.fact.name == "stream_order")
    assert "QUOTH_MAX_USD=$0" in text


def test_what_is_written_can_be_sent() -> None:
    with poe(past_rows=20, balance=7_654_321) as emulator:
        found = run(emulator)
    text = json.dumps(found.document(), default=str)
    assert KEY not in text
    assert "authorization" not in text.lower().replace("access-control-allow-headers", "").replace(
        '"authorization, content-type"', ""
    )
    document = json.loads(text)
    by_path = {one["endpoint"]: one["body"] for one in document["exchanges"] if one["status"] == 200}
    balance = by_path["/usage/current_balance"]
    assert balance["current_point_balance"] == "<number>"
    assert balance["points_cycle_start_time"] == "<16 digits>"
    (row,) = by_path["/usage/points_history?limit=5"]["data"]
    assert (row["query_id"], row["bot_name"], row["cost_points"]) == ("<text>", "<text>", "<number>")
    assert "7654" not in text
    assert len(by_path["/v1/models"]["data"]) == 1


def test_a_key_that_is_echoed_is_masked() -> None:
    with poe(faults=(f"status=400; message=Your key {KEY} of someone@example.org is odd",)) as emulator:
        text = json.dumps(run(emulator, only=("unknown_model_status",)).document(), default=str)
    assert "<key> of <email> is odd" in text
    assert KEY not in text
    assert "someone" not in text


# The command


@pytest.fixture
def quoth(emulator: Emulator) -> Quoth:
    quoth = Quoth(emulator.base_url)
    quoth.variables["POE_API_KEY"] = KEY
    return quoth


def test_without_live_nobody_but_an_emulator_is_asked(quoth: Quoth, emulator: Emulator) -> None:
    done = quoth("verify", POE_API_KEY=None, POE_API_BASE=None)
    assert done.code == 0, done.out
    assert f"{len(NAMES)} still true, 0 changed, 0 unknown" in done.err
    assert f"[{len(NAMES)}/{len(NAMES)}]" in done.out
    assert "nothing leaves this machine" in done.err
    assert not emulator.requests
    assert quoth("verify", "--profile", "documented").code == 1
    assert quoth("verify", "--profile", "wrong").code == 2


def test_live_asks_where_the_environment_points(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    done = quoth("verify", "--live", "-o", str(file))
    assert done.code == 0
    assert f"Asking Poe at {emulator.origin} after {len(NAMES)} facts, for $0.05 at most." in done.err
    keys = {request.headers.get("authorization") for request in emulator.requests}
    assert keys == {None, f"Bearer {KEY}", "Bearer invalid-key-of-quoth-verify"}
    document = json.loads(file.read_text())
    assert (document["live"], document["cap_usd"], len(document["facts"])) == (True, "0.05", len(NAMES))
    assert quoth("verify", "--live", "-o", str(file)).code == 2
    assert quoth("verify", "--live", POE_API_KEY=None).code == 3


def test_a_change_is_said_and_is_the_exit_code(tmp_path: Path) -> None:
    with poe(facts_changed=("n",)) as emulator:
        done = Quoth(emulator.base_url)("verify", "--live", "--only", "n", "--only", "stop_count")
        as_json = Quoth(emulator.base_url)("verify", "--live", "--only", "n", "--json")
    assert done.code == as_json.code == 1
    assert "changed     n " in done.out
    assert "it was: `n` above 1 is refused (documented 2026-04-13)" in done.out
    assert "1 still true, 1 changed, 0 unknown" in done.err
    assert [(one["name"], one["verdict"]) for one in as_json.json["facts"]] == [("n", "changed")]


def test_facts_are_listed(quoth: Quoth) -> None:
    done = quoth("verify", "--facts", "--json")
    assert [one["name"] for one in done.json] == [fact.name for fact in facts()]
    assert "stream_order" in quoth("verify", "--facts").out
    assert "is not a fact" in quoth("verify", "--only", "nonsense").err


def test_a_report_becomes_cases_for_the_emulator(quoth: Quoth, tmp_path: Path) -> None:
    """What was seen of an emulator agrees with one; what was seen of a changed one differs."""
    file, folder = tmp_path / "seen.json", tmp_path / "cases"
    words = ("verify", "--only", "tool_content", "--only", "n", "--only", "chat_id", "--live", "-o", str(file))
    assert quoth(*words).code == 0
    assert "3 cases" in script("cases_from_report", str(file), str(folder)).stdout
    assert "3 of 3 agree" in script("compare_recorded", str(folder)).stdout
    with poe(facts_changed=("tool_content",)) as emulator:
        assert Quoth(emulator.base_url)(*words, "--force").code == 1
    changed = tmp_path / "changed"
    script("cases_from_report", str(file), str(changed), "--changed")
    done = script("compare_recorded", str(changed))
    assert done.returncode == 1
    assert "message.content: recorded NoneType, emulated str" in done.stdout


def script(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
