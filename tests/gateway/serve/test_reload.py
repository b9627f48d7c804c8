"""New settings while requests are answered: all workers have them, or none."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from quoth.gateway.serve.plan import Server
from tests.gateway.serve.running import Load, Running, eventually, is_gone


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_a_changed_file_is_taken_without_a_failed_request(server: Server, tmp_path: Path) -> None:
    """S6: new ones, bad ones and new ones again, under load; a stream that was open goes on."""
    with Running(tmp_path, server=server, word="one", workers=2) as gateway:
        with Load(gateway) as load, gateway.stream(60) as answer:
            eventually(load.mark)
            gateway.write(word="two")
            gateway.line("say", "reloaded (generation 2)")
            mark = load.mark()
            gateway.write_text('{"word": "thr')
            assert str(gateway.file) in gateway.line("warn", "the old ones stay").text
            gateway.write(word="four")
            gateway.line("say", "reloaded (generation 3)")
            last = load.mark()
            eventually(lambda: load.mark() > last + 100)
            assert answer.read().endswith(b"data: [DONE]\n\n")
        assert load.failures == []
        assert {status for status, _ in load.answers} == {200}
        words = [word for _, word in load.answers]
        assert set(words) == {"one", "two", "four"}
        # Each of the four clients may have had one request under way, and may come to read its answer late.
        assert words[mark:].count("one") <= 4
        assert len(words[last:]) - words[last:].count("four") <= 4


def test_sighup_takes_a_file_at_once(tmp_path: Path) -> None:
    with Running(tmp_path, word="one") as gateway:
        gateway.write(word="two")
        gateway.signal(signal.SIGHUP)
        gateway.line("say", "generation 2")
        assert gateway.get("/") == (200, "two")


def test_sighup_without_a_change(tmp_path: Path) -> None:
    with Running(tmp_path) as gateway:
        gateway.signal(signal.SIGHUP)
        gateway.line("say", "are the same")
        assert gateway.get("/") == (200, "hello")


def test_settings_that_the_application_refuses(tmp_path: Path) -> None:
    with Running(tmp_path, word="one") as gateway:
        gateway.write(word="unbearable")
        gateway.signal(signal.SIGHUP)
        assert "this word cannot be said" in gateway.line("warn", "the old ones stay").text
        assert gateway.get("/") == (200, "one")


def test_if_one_worker_refuses_no_worker_has_them(tmp_path: Path) -> None:
    with Running(tmp_path, word="one", workers=3) as gateway:
        gateway.write(word="two", refused_by=str(tmp_path / "taken"))
        gateway.signal(signal.SIGHUP)
        assert "one of us is enough" in gateway.line("warn", "the old ones stay").text
        assert (tmp_path / "taken").exists(), "a worker had taken them"
        with Load(gateway) as load:
            eventually(lambda: load.mark() > 50)
            mark = load.mark()
            eventually(lambda: load.mark() > mark + 200)
        assert {word for _, word in load.answers[mark:]} == {"one"}


def test_a_file_that_has_gone_and_come_back(tmp_path: Path) -> None:
    with Running(tmp_path, word="one") as gateway:
        gateway.file.rename(tmp_path / "elsewhere")
        gateway.line("warn", "the old ones stay")
        assert gateway.get("/") == (200, "one")
        gateway.write(word="two")
        gateway.line("say", "generation 2")
        assert gateway.get("/") == (200, "two")


@pytest.mark.parametrize(
    ("change", "named"),
    [({"port": 1}, "address"), ({"workers": 2}, "number of workers"), ({"header_timeout": 9}, "header timeout")],
)
def test_what_needs_a_restart_says_so(change: dict[str, int], named: str, tmp_path: Path) -> None:
    with Running(tmp_path, word="one") as gateway:
        gateway.write(word="two", **change)
        gateway.signal(signal.SIGHUP)
        assert gateway.line("warn", "needs a restart").text.startswith(f"the {named}")
        gateway.line("say", "generation 2")
        assert gateway.get("/") == (200, "two")
        assert len(gateway.workers()) == 1


def test_a_new_worker_gets_the_settings_in_force_not_those_on_disk(tmp_path: Path) -> None:
    with Running(tmp_path, word="one") as gateway:
        gateway.write(word="two")
        gateway.signal(signal.SIGHUP)
        gateway.line("say", "generation 2")
        gateway.write_text("no settings")
        gateway.line("warn", "the old ones stay")
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGKILL)
        gateway.line("warn", "ended by signal 9")
        assert gateway.get("/") == (200, "two")


def test_reloads_while_workers_come_and_go(tmp_path: Path) -> None:
    """Whatever was interrupted, in the end all workers have the last settings."""
    with Running(tmp_path, word="0", workers=2) as gateway:
        for number in range(1, 6):
            gateway.write(word=str(number))
            gateway.signal(signal.SIGHUP)
            victim = gateway.workers()[0]
            os.kill(victim, signal.SIGKILL)
            eventually(lambda victim=victim: is_gone(victim))  # type: ignore[misc]
            eventually(lambda: len(gateway.workers()) == 2)
        seen: dict[str, str] = {}

        def everybody() -> bool:
            seen[gateway.get("/pid")[1]] = gateway.get("/")[1]
            return gateway.get("/") == (200, "5") and set(map(str, gateway.workers())) <= set(seen)

        eventually(everybody)
        assert {gateway.get("/")[1] for _ in range(40)} == {"5"}
