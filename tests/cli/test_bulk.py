"""`quoth batch`: order, errors in their place, kills, caps, Ctrl-C; as a process, against the emulator."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quoth.emulator import Emulator
from tests.cli.running import LONG, Done, Quoth

# How often the batch is killed; `make crash` says 50.
KILLS = int(os.environ.get("QUOTH_KILLS", "3"))
AT_ONCE = 4
ROOT = Path(__file__).resolve().parents[2]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def sums(path: Path, count: int) -> Path:
    return write(path, [{"prompt": f"What is {number} + 1?"} for number in range(count)])


def text(row: dict[str, Any]) -> str:
    said: str = row["response"]["body"]["choices"][0]["message"]["content"]
    return said


def _turns(body: Any) -> Any:
    """The conversation of a request, over chat or over Responses."""
    return body.get("messages") or body["input"]


def asked(emulator: Emulator) -> Counter[str]:
    """How often each prompt has arrived."""
    return Counter(_turns(request.body)[-1]["content"] for request in emulator.requests)


def batch(quoth: Quoth, source: Path, *words: str) -> tuple[Done, Path]:
    output = source.with_name("out.jsonl")
    return quoth("batch", str(source), "-o", str(output), *words), output


@pytest.fixture
def slow_emulator() -> Iterator[Emulator]:
    with Emulator(token_delay=0, first_token_delay=0.03, rate_limit=1_000_000) as emulator:
        yield emulator


def test_answers_stand_in_the_order_of_the_prompts(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    done, output = batch(quoth, sums(tmp_path / "in.jsonl", 40), "-m", "poe/Grok-4")
    assert (done.code, done.out) == (0, "")
    assert "40 of 40" in done.err
    found = rows(output)
    assert [text(row) for row in found] == [f"[emulated Grok-4] {number} + 1 = {number + 1}" for number in range(40)]
    assert [row["custom_id"] for row in found] == [f"line-{number}" for number in range(1, 41)]
    assert all(row["error"] is None and row["cost"]["points"] > 0 for row in found)
    assert set(asked(emulator).values()) == {1}
    assert not output.with_name("out.jsonl.part").exists()


def test_openai_s_format_and_errors_in_their_place(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    def line(custom_id: str, body: Any, **other: Any) -> dict[str, Any]:
        return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **other}

    messages = [{"role": "user", "content": "What is 2 + 2?"}]
    source = write(
        tmp_path / "in.jsonl",
        [
            line("one", {"model": "Grok-4", "messages": messages, "max_tokens": 50}),
            line("gone", {"model": "poe/no-such-bot", "messages": messages}),
            line("other", {"model": "Grok-4", "messages": messages}, url="/v1/embeddings"),
            line("streamed", {"model": "Grok-4", "messages": messages, "stream": True}),
            line("evil", {"model": "Grok-4", "messages": messages, "api_base": "http://127.0.0.1:1/v1"}),
            line("empty", {"model": "Grok-4", "messages": []}),
        ],
    )
    with source.open("a") as file:
        file.write("nonsense\n\n")
    done, output = batch(quoth, source, "--json")
    assert done.code == 0
    assert (done.json["total"], done.json["finished"], done.json["failed"]) == (7, 7, 6)
    one, gone, other, streamed, evil, empty, nonsense = rows(output)
    assert text(one) == "[emulated Grok-4] 2 + 2 = 4"
    assert (one["custom_id"], one["response"]["status_code"]) == ("one", 200)
    assert emulator.requests[0].body["max_tokens"] == 50
    assert (gone["response"]["status_code"], gone["error"]["class"]) == (404, "NotFoundError")
    assert gone["response"]["body"]["error"]["type"] == "not_found_error"
    for row, said in (
        (other, "/v1/embeddings"),
        (streamed, "not streamed"),
        (evil, "api_base may not stand in a line"),
        (empty, "messages is empty"),
        (nonsense, "not JSON"),
    ):
        assert row["response"] is None
        assert said in row["error"]["message"]
    assert len(emulator.requests) == 2


def test_the_model_of_the_command_and_of_a_line(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    """In OpenAI's format a model has to stand, so -m can only mean another; in a simple line it is a choice."""
    body = {"model": "gpt-4o-2024-08-06", "messages": [{"role": "user", "content": "one"}]}
    source = write(
        tmp_path / "in.jsonl",
        [{"custom_id": "a", "body": body}, {"prompt": "two", "model": "poe/Grok-4"}, {"prompt": "three"}],
    )
    done, _ = batch(quoth, source, "-m", "Claude-Haiku-4.5", "--concurrency", "1")
    assert done.code == 0
    assert [request.body["model"] for request in emulator.requests] == [
        "Claude-Haiku-4.5",
        "Grok-4",
        "Claude-Haiku-4.5",
    ]


def test_options_are_for_lines_that_do_not_say(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl",
        [
            {"prompt": "one", "temperature": 0.5},
            {"messages": [{"role": "system", "content": "Own."}, {"role": "user", "content": "two"}]},
        ],
    )
    words = ("--system", "Be brief.", "--temperature", "1.5", "-p", "top_p=0.5", "--concurrency", "1")
    assert batch(quoth, source, *words)[0].code == 0
    one, two = (request.body for request in emulator.requests)
    assert (one["temperature"], one["top_p"], _turns(one)[0]["content"]) == (0.5, 0.5, "Be brief.")
    assert (two["temperature"], [message["content"] for message in _turns(two)]) == (1.5, ["Own.", "two"])


def test_csv(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(
        '\ufeffcustom_id,prompt,note\r\na,"What is 1 + 1?",x\r\nb,"Say ""two\nlines""",y\r\n', "utf-8", newline=""
    )
    done, output = batch(quoth, source, "-m", "Grok-4")
    assert done.code == 0
    assert [(row["custom_id"], text(row)) for row in rows(output)] == [
        ("a", "[emulated Grok-4] 1 + 1 = 2"),
        ("b", "[emulated Grok-4] two\nlines"),
    ]
    source.write_text("question\nx\n")
    done, _ = batch(quoth, source)
    assert done.code == 2
    assert "no column named prompt" in done.err


@pytest.mark.timeout(120 + 20 * KILLS)
def test_killed_at_any_moment_it_pays_no_finished_line_twice(slow_emulator: Emulator, tmp_path: Path) -> None:
    """After each kill the journal says what is finished; from then on nobody asks for those again."""
    chance = random.Random(19)
    quoth = Quoth(slow_emulator.base_url)
    count = 20 + 8 * KILLS
    source, output = sums(tmp_path / "in.jsonl", count), tmp_path / "out.jsonl"
    part = tmp_path / "out.jsonl.part"
    words = ("batch", str(source), "-o", str(output), "-m", "Grok-4", "--concurrency", str(AT_ONCE))
    counts: dict[int, int] = {}
    finished: set[int] = set()
    for _ in range(KILLS):
        with quoth.start(*words) as process:
            wait_for_lines(part, len(finished) + chance.randint(1, 6), process)
            time.sleep(chance.random() * 0.03)
            process.kill()
            process.wait(LONG)
        assert process.returncode == -signal.SIGKILL
        before, finished = finished, set(numbers(part))
        assert before < finished, "nothing that was finished is lost"
        now = asked(slow_emulator)
        counts |= {number: now[f"What is {number} + 1?"] for number in finished - before}
    done = quoth(*words)
    assert done.code == 0, done.err
    assert f"{len(finished):,} of {count:,} lines are finished from before." in done.err
    assert [text(row) for row in rows(output)] == [f"[emulated Grok-4] {n} + 1 = {n + 1}" for n in range(count)]
    final = asked(slow_emulator)
    assert {number: final[f"What is {number} + 1?"] for number in counts} == counts
    assert sum(final.values()) - count <= KILLS * AT_ONCE, "only what was under way at a kill is asked for again"
    assert not part.exists()


def numbers(part: Path) -> list[int]:
    """The lines that are finished: each whole line of the journal begins with its number."""
    data = part.read_bytes() if part.exists() else b""
    return [int(line.split(b" ", 1)[0]) for line in data.split(b"\n")[:-1]]


def wait_for_lines(part: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONG
    while len(numbers(part)) < count:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_half_written_line_is_cut(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults("ok; times=3", "status=401")
    source = sums(tmp_path / "in.jsonl", 5)
    done, output = batch(quoth, source, "--concurrency", "1")
    assert done.code == 3
    assert "out.jsonl.part: the same command goes on from there" in done.err
    assert not output.exists()
    part = tmp_path / "out.jsonl.part"
    assert numbers(part) == [0, 1, 2]
    whole = part.read_bytes()
    part.write_bytes(whole[:-40] + b"\0" * 4)
    emulator.faults()
    done, output = batch(quoth, source)
    assert done.code == 0
    assert "2 of 5 lines are finished from before" in done.err
    assert len(rows(output)) == 5
    assert asked(emulator)["What is 2 + 1?"] == 2
    assert asked(emulator)["What is 1 + 1?"] == 1


def test_once_more_asks_nobody_and_errors_are_asked_again_if_wanted(
    quoth: Quoth, emulator: Emulator, tmp_path: Path
) -> None:
    source = sums(tmp_path / "in.jsonl", 6)
    emulator.faults("status=500; times=1", "status=500; times=1", "ok")
    done, output = batch(quoth, source, "--concurrency", "1", "-p", "num_retries=0")
    assert done.code == 0
    assert "2 of the lines" in done.err
    assert [row["error"] is not None for row in rows(output)] == [True, True, False, False, False, False]
    before = output.read_bytes()
    done, output = batch(quoth, source, "-p", "num_retries=0")
    assert done.code == 0
    assert output.read_bytes() == before
    assert len(emulator.requests) == 6
    done, output = batch(quoth, source, "-p", "num_retries=0", "--retry-errors")
    assert done.code == 0
    assert len(emulator.requests) == 8
    assert [text(row).endswith(f"= {number + 1}") for number, row in enumerate(rows(output))] == [True] * 6
    assert not (tmp_path / "out.jsonl.part").exists()


def test_a_line_that_changed_is_asked_again(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    source = sums(tmp_path / "in.jsonl", 3)
    assert batch(quoth, source)[0].code == 0
    write(source, [{"prompt": "What is 0 + 1?"}, {"prompt": "What is 5 + 5?"}, *({"prompt": "What is 2 + 1?"},) * 2])
    done, output = batch(quoth, source)
    assert done.code == 0
    assert "1 results are of lines that have changed" in done.err
    assert [text(row).rpartition("= ")[2] for row in rows(output)] == ["1", "10", "3", "3"]
    assert len(emulator.requests) == 5


def test_somebody_else_s_output_is_left_alone(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    source = sums(tmp_path / "in.jsonl", 2)
    output = tmp_path / "out.jsonl"
    output.write_text("my diary\n")
    done, _ = batch(quoth, source)
    assert done.code == 2
    assert "is not the output of a batch" in done.err
    assert output.read_text() == "my diary\n"
    output.unlink()
    assert batch(quoth, source)[0].code == 0
    done, _ = batch(quoth, source, "-m", "Grok-4")
    assert done.code == 2
    assert "another input" in done.err
    assert len(emulator.requests) == 2
    done = quoth("batch", str(source), "-o", str(source))
    assert (done.code, "is the input" in done.err) == (2, True)
    assert quoth("batch", str(tmp_path / "none.jsonl"), "-o", str(output)).code == 2
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_two_at_one_output(slow_emulator: Emulator, tmp_path: Path) -> None:
    quoth = Quoth(slow_emulator.base_url)
    source, output = sums(tmp_path / "in.jsonl", 2000), tmp_path / "out.jsonl"
    words = ("batch", str(source), "-o", str(output), "--concurrency", "2")
    with quoth.start(*words) as process:
        wait_for_lines(tmp_path / "out.jsonl.part", 1, process)
        done = quoth(*words)
        assert done.code == 2
        assert "another process is working on" in done.err


def test_ctrl_c_lets_what_is_under_way_finish(tmp_path: Path) -> None:
    with Emulator(token_delay=0, first_token_delay=0.3, rate_limit=1_000_000) as emulator:
        quoth = Quoth(emulator.base_url)
        source, part = sums(tmp_path / "in.jsonl", 500), tmp_path / "out.jsonl.part"
        words = ("batch", str(source), "-o", str(tmp_path / "out.jsonl"), "--concurrency", "3", "--json")
        with quoth.start(*words) as process:
            wait_for_lines(part, 3, process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONG)
        assert process.returncode == 130
        assert b"Waiting for the calls under way" in err
        assert b"the same command goes on from there" in err
        summary = json.loads(out)
        assert len(emulator.requests) == len(numbers(part)) == summary["finished"] < 500
        assert summary["output"] is None


def test_ctrl_c_twice_leaves_at_once(tmp_path: Path) -> None:
    with Emulator(token_delay=0, rate_limit=1_000_000, faults=("ok; times=3", "stall=before")) as emulator:
        quoth = Quoth(emulator.base_url)
        source, part = sums(tmp_path / "in.jsonl", 50), tmp_path / "out.jsonl.part"
        with quoth.start("batch", str(source), "-o", str(tmp_path / "out.jsonl"), "--concurrency", "2") as process:
            wait_for_lines(part, 3, process)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            said = b""
            while b"Ctrl-C again" not in said:
                said += process.stderr.read(1)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LONG)
        assert process.returncode == 130
        assert numbers(part) == [0, 1, 2]


@pytest.mark.parametrize(("fault", "code"), [("status=401", 3), ("status=402", 4)])
def test_what_every_line_would_get_stops_the_batch(
    quoth: Quoth, emulator: Emulator, tmp_path: Path, fault: str, code: int
) -> None:
    emulator.faults("ok; times=5", fault)
    done, output = batch(quoth, sums(tmp_path / "in.jsonl", 300), "--concurrency", "2", "--json")
    assert done.code == code
    assert (done.json["finished"], done.json["failed"]) == (5, 0)
    assert done.json["halted"]["class"] in ("AuthenticationError", "PaymentRequiredError")
    assert len(emulator.requests) <= 5 + 2
    assert not output.exists()


def test_when_nobody_answers_it_stops(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    emulator.faults("reset=before")
    words = ("--concurrency", "4", "-p", "num_retries=0")
    done, _ = batch(quoth, sums(tmp_path / "in.jsonl", 300), *words)
    assert done.code == 5
    assert len(emulator.requests) < 40
    assert "the same command with --retry-errors goes on" in done.err
    emulator.faults()
    done, output = batch(quoth, sums(tmp_path / "in.jsonl", 300), *words, "--retry-errors")
    assert done.code == 0
    assert [row["error"] for row in rows(output)] == [None] * 300


def test_it_keeps_to_a_pace(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    done, _ = batch(quoth, sums(tmp_path / "in.jsonl", 8), "--rpm", "60", "--concurrency", "8")
    assert done.code == 0
    moments = [request.arrived for request in emulator.requests]
    # Six at once, then one every 60 / 54 s.
    assert moments[7] - moments[0] >= 2.0
    assert moments[5] - moments[0] < moments[7] - moments[0]


def test_it_keeps_under_a_cap_over_all_runs(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    source = sums(tmp_path / "in.jsonl", 400)
    words = ("-m", "Grok-4", "--max-tokens", "20", "--concurrency", "8", "--json", "--max-usd")
    done, _ = batch(quoth, source, *words, "0.01")
    assert done.code == 4
    first = done.json["finished"]
    assert 5 < first < 100
    assert done.json["halted"]["class"] == "BudgetExceededError"
    assert "the cap of $0.01 on the batch: a call that can cost up to" in done.err
    assert "A smaller max_tokens lowers what a call can cost" in done.err
    spent = Decimal(10_000_000 - emulator.balance) / 33_000
    assert Decimal("0.008") < spent <= Decimal("0.01")
    assert abs(Decimal(done.json["usd"]) - spent) < Decimal("0.00001")
    done, _ = batch(quoth, source, *words, "0.01")
    assert (done.code, done.json["finished"], len(emulator.requests)) == (4, first, first)
    done, _ = batch(quoth, source, *words, "0.02")
    assert done.code == 4
    assert first < done.json["finished"] < 200
    assert Decimal(10_000_000 - emulator.balance) / 33_000 <= Decimal("0.02")
    done, output = batch(quoth, source, *words, "5")
    assert (done.code, len(rows(output)), len(emulator.requests)) == (0, 400, 400)


def test_no_cap_without_a_price(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    done, _ = batch(quoth, sums(tmp_path / "in.jsonl", 3), "-m", "GPT-4o", "--max-usd", "1")
    assert done.code == 4
    assert "has no room for poe/GPT-4o: its price is not known. Going without the cap makes such calls" in done.err
    assert not emulator.requests


def test_the_documented_commands_run_on_the_documented_files(
    quoth: Quoth, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    files = re.findall(r"```(?:json|csv)\n(.*?)```", page, re.DOTALL)
    for name, text in zip(("questions.jsonl", "openai.jsonl", "reviews.csv"), files, strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    shell = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    assert shell is not None
    monkeypatch.chdir(tmp_path)
    for line in shell[1].splitlines():
        done = quoth(*shlex.split(line)[1:], "--json")
        assert (done.code, done.json["failed"]) == (0, 0), line
    assert [row["custom_id"] for row in rows(tmp_path / "labels.jsonl")] == ["r1", "r2"]
    assert [row["custom_id"] for row in rows(tmp_path / "answers.jsonl")] == ["line-1", "sum", "line-3"]
    fields = re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \|", page, re.MULTILINE)
    assert set(rows(tmp_path / "answers.jsonl")[0]) == {name for pair in fields for name in pair if name}


def test_on_a_terminal_there_is_a_bar(slow_emulator: Emulator, tmp_path: Path) -> None:
    quoth = Quoth(slow_emulator.base_url)
    source = sums(tmp_path / "in.jsonl", 60)
    with quoth.on_terminal("batch", str(source), "-o", str(tmp_path / "out.jsonl"), TERM="xterm") as terminal:
        terminal.until("/60")
        terminal.until("60 of 60")
        assert terminal.ended() == 0
    assert "about $" in terminal.text


def test_quiet_says_nothing(quoth: Quoth, tmp_path: Path) -> None:
    done, output = batch(quoth, sums(tmp_path / "in.jsonl", 3), "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert len(rows(output)) == 3


def test_an_empty_input_has_an_empty_output(quoth: Quoth, tmp_path: Path) -> None:
    done, output = batch(quoth, write(tmp_path / "in.jsonl", []))
    assert (done.code, output.read_text()) == (0, "")
