"""From start to end: what is refused, how it stops, and what becomes of those who are still being answered."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from quoth.gateway.serve.plan import Server
from tests.gateway.serve.running import LONG, Running, eventually, is_gone

SERVERS: list[Server] = ["granian", "uvicorn"]

both_servers = pytest.mark.parametrize("server", SERVERS)


@both_servers
def test_it_answers_and_ends_with_0_on_sigterm(server: Server, tmp_path: Path) -> None:
    with Running(tmp_path, server=server, word="good day") as gateway:
        assert gateway.get("/") == (200, "good day")
        gateway.signal(signal.SIGTERM)
        assert gateway.ended() == 0


@both_servers
def test_two_workers_answer_on_one_socket(server: Server, tmp_path: Path) -> None:
    with Running(tmp_path, server=server, workers=2) as gateway:
        seen: set[str] = set()
        eventually(lambda: seen.add(gateway.get("/pid")[1]) or len(seen) == 2)  # type: ignore[func-returns-value]
        assert seen == set(map(str, gateway.workers()))
        assert gateway.get("/workers") == (200, "2")


@both_servers
def test_drain(server: Server, tmp_path: Path) -> None:
    """S15: not ready but accepting, then not accepting, and the open stream comes to its end."""
    with Running(tmp_path, server=server, drain_delay=1.0) as gateway, gateway.stream(25) as answer:
        assert gateway.get("/health/readiness")[0] == 200
        gateway.signal(signal.SIGTERM)
        gateway.line("say", "draining")
        eventually(lambda: gateway.get("/health/readiness")[0] == 503)
        assert gateway.get("/") == (200, "hello"), "it still accepts connections"
        eventually(lambda: _refuses(gateway))
        assert answer.read().endswith(b"data: 24\n\ndata: [DONE]\n\n")
        assert gateway.ended() == 0


def _refuses(gateway: Running) -> bool:
    try:
        gateway.get("/")
    except OSError:
        return True
    return False


@both_servers
def test_a_stream_that_takes_too_long_gets_the_error_event(server: Server, tmp_path: Path) -> None:
    with Running(tmp_path, server=server, drain_timeout=0.5) as gateway, gateway.stream(100_000) as answer:
        gateway.signal(signal.SIGINT)
        assert answer.read().endswith(b"event: error\n\n")
        assert gateway.ended() == 0


@both_servers
def test_an_answer_that_is_still_being_read_arrives_whole(server: Server, tmp_path: Path) -> None:
    """The application is done with it long before the client is."""
    with Running(tmp_path, server=server) as gateway:
        connection = gateway.connection()
        connection.request("GET", "/big")
        answer = connection.getresponse()
        gateway.signal(signal.SIGTERM)
        gateway.line("say", "draining")
        read = 0
        while data := answer.read(2 << 20):
            read += len(data)
            time.sleep(0.25)
        assert read == 16 << 20
        assert gateway.ended() == 0
        connection.close()


@both_servers
def test_an_idle_connection_holds_nobody_up(server: Server, tmp_path: Path) -> None:
    with Running(tmp_path, server=server) as gateway, socket.create_connection(gateway.address, LONG) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"hello"):
            received += idle.recv(1 << 16)
        gateway.signal(signal.SIGTERM)
        assert idle.recv(1 << 16) == b""
        assert gateway.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(number: signal.Signals, tmp_path: Path) -> None:
    with Running(tmp_path, drain_timeout=3600.0) as gateway, gateway.stream(100_000) as answer:
        gateway.signal(signal.SIGTERM)
        gateway.line("say", "draining")
        gateway.signal(number)
        assert answer.read().endswith(b"event: error\n\n")
        assert gateway.ended() == 128 + number


def test_a_second_signal_ends_the_delay_too(tmp_path: Path) -> None:
    with Running(tmp_path, drain_delay=3600.0) as gateway:
        gateway.signal(signal.SIGTERM)
        gateway.line("say", "draining")
        gateway.signal(signal.SIGTERM)
        assert gateway.ended() == 128 + signal.SIGTERM
        with pytest.raises(AssertionError, match="the gateway ended"):
            gateway.line("warn", "did not end in time")


def test_a_second_signal_ends_a_worker_that_hears_nothing(tmp_path: Path) -> None:
    with Running(tmp_path, drain_timeout=3600.0) as gateway:
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGSTOP)
        gateway.signal(signal.SIGTERM)
        gateway.line("say", "draining")
        gateway.signal(signal.SIGTERM)
        gateway.line("warn", "did not end in time")
        assert gateway.ended() == 128 + signal.SIGTERM
        assert is_gone(worker)


def test_a_signal_before_it_has_started_ends_it(tmp_path: Path) -> None:
    with Running(tmp_path, wait=False) as gateway:
        eventually(gateway.workers)
        workers = gateway.workers()
        gateway.signal(signal.SIGTERM)
        assert gateway.ended() in (128 + signal.SIGTERM, 0)
        eventually(lambda: all(map(is_gone, workers)))


def test_a_terminal_that_interrupts_all_processes_is_one_interrupt(tmp_path: Path) -> None:
    """Workers leave what a signal means to their parent: Ctrl-C and `kill -TERM -GROUP` reach them too."""
    with Running(tmp_path, drain_delay=0.5) as gateway, gateway.stream(15) as answer:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for worker in gateway.workers():
                os.kill(worker, number)
        gateway.signal(signal.SIGINT)
        assert answer.read().endswith(b"data: [DONE]\n\n")
        assert gateway.ended() == 0


# A session of its own with the terminal on descriptor 0, and then the program that follows.
IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("nohup", [False, True])
def test_a_terminal_that_is_closed_ends_it_unless_nohup_was_said(nohup: bool, tmp_path: Path) -> None:
    """SIGHUP has two meanings: read the settings, and the terminal is gone."""
    controlling, terminal = os.openpty()
    # Said either way, for these tests may themselves run under nohup.
    meaning = f"import signal; signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if nohup else 'SIG_DFL'})"
    prefix = [sys.executable, "-c", meaning + IN_A_TERMINAL]
    with Running(tmp_path, prefix=prefix, stdin=terminal) as gateway:
        os.close(terminal)
        gateway.signal(signal.SIGHUP)
        gateway.line("say", "are the same")
        os.close(controlling)
        if nohup:
            gateway.line("say", "are the same")
            assert gateway.get("/") == (200, "hello")
        else:
            gateway.line("say", "draining")
            assert gateway.ended() == 0


def test_few_files_are_few_connections_and_it_says_so(tmp_path: Path) -> None:
    with Running(tmp_path, prefix=["sh", "-c", 'ulimit -n 400; exec "$@"', "sh"]) as gateway:
        assert "takes only 136 connections at a time" in "".join(line.text for line in gateway.lines)
        assert gateway.get("/") == (200, "hello")


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    with Running(tmp_path, workers=2) as gateway:
        workers = gateway.workers()
        assert len(workers) == 2
        gateway.signal(signal.SIGKILL)
        gateway.ended()
        eventually(lambda: all(map(is_gone, workers)))
        eventually(lambda: _refuses(gateway))


def test_not_even_one_that_is_busy(tmp_path: Path) -> None:
    """Its event loop stands still and hears nothing."""
    with Running(tmp_path) as gateway, socket.create_connection(gateway.address, LONG) as client:
        (worker,) = gateway.workers()
        client.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: not is_answering(gateway))
        gateway.signal(signal.SIGKILL)
        gateway.ended()
        eventually(lambda: is_gone(worker))


def is_answering(gateway: Running) -> bool:
    connection = gateway.connection()
    connection.timeout = 0.3
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except TimeoutError:
        return False
    finally:
        connection.close()


def test_a_port_in_use_is_one_sentence_and_never_another_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Running(tmp_path, wait=False, port=port) as gateway:
            text = gateway.line("refused").text
            assert text.startswith(f"port {port} on 127.0.0.1 is already in use: ")
            assert gateway.ended() == 1


def test_two_gateways_do_not_share_a_port(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with (
        Running(tmp_path) as first,
        Running(tmp_path / "second", wait=False, port=first.address[1]) as second,
    ):
        assert "already in use" in second.line("refused").text
        assert second.ended() == 1
        assert first.get("/") == (200, "hello")


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    with Running(tmp_path, wait=False, host="192.0.2.1") as gateway:
        assert "192.0.2.1 is not an address of this machine" in gateway.line("refused").text
        assert gateway.ended() == 1


def test_settings_that_are_refused_are_refused_whole(tmp_path: Path) -> None:
    with Running(tmp_path, wait=False, wrod="typo") as gateway:
        problems = gateway.line("refused").text.splitlines()
        assert "wrod" in problems[0]
        assert problems[1] == "and so on"
        assert gateway.ended() == 1


def test_an_application_that_cannot_work_with_its_settings(tmp_path: Path) -> None:
    with Running(tmp_path, wait=False, word="unbearable", workers=2) as gateway:
        assert gateway.line("refused").text.endswith("ValueError: this word cannot be said")
        assert gateway.ended() == 1


def test_a_crash_loop_at_the_start_ends(tmp_path: Path) -> None:
    with Running(tmp_path, wait=False, crash_at_start=True) as gateway:
        text = gateway.line("refused").text
        assert text.startswith("it failed to start 3 times: worker 1 ")
        assert text.endswith(": it ended with code 7")
        assert gateway.ended() == 1


# --- TLS ------------------------------------------------------------------------------------------------------------


def _certificate(folder: Path, name: str) -> tuple[dict[str, Any], ssl.SSLContext]:
    """Settings with a new certificate (in the same files), and a client that trusts it and no other."""
    authority = trustme.CA(organization_name=name)
    issued = authority.issue_cert("localhost", "127.0.0.1")
    for file, blobs in (("tls.crt", issued.cert_chain_pems), ("tls.key", [issued.private_key_pem])):
        new = folder / f"{file}.new"
        new.write_bytes(b"".join(blob.bytes() for blob in blobs))
        new.replace(folder / file)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")}, context


@both_servers
def test_tls(server: Server, tmp_path: Path) -> None:
    files, context = _certificate(tmp_path, "first")
    with Running(tmp_path, server=server, **files) as gateway:
        assert gateway.lines[-1].text.startswith("https://127.0.0.1:")
        assert gateway.get("/", context=context) == (200, "hello")
        assert b"200" not in gateway.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", half_close=True)


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    files, _ = _certificate(tmp_path, "first")
    with Running(tmp_path, **files) as gateway:
        before = gateway.workers()
        _, context = _certificate(tmp_path, "second")
        gateway.line("say", "certificate")
        eventually(lambda: all(map(is_gone, before)))
        assert gateway.get("/", context=context) == (200, "hello")


def test_a_renewed_certificate_that_is_none_changes_nothing(tmp_path: Path) -> None:
    files, context = _certificate(tmp_path, "first")
    with Running(tmp_path, **files) as gateway:
        (tmp_path / "tls.crt").write_text("not a certificate")
        gateway.line("say", "certificate")
        assert "worker 1" in gateway.line("warn", "the next starts in").text
        assert gateway.get("/", context=context) == (200, "hello")
        _, renewed = _certificate(tmp_path, "second")

        def is_renewed() -> bool:
            try:
                return gateway.get("/", context=renewed) == (200, "hello")
            except ssl.SSLError:
                return False

        eventually(is_renewed)


# --- Secrets --------------------------------------------------------------------------------------------------------


def test_settings_are_neither_in_arguments_nor_in_the_environment_nor_in_a_file(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with Running(tmp_path, word="sesame", environment={"TMPDIR": str(temporary)}) as gateway:
        assert gateway.get("/") == (200, "sesame")
        for process in (gateway.process.pid, *gateway.workers()):
            for what in ("cmdline", "environ"):
                file = Path(f"/proc/{process}/{what}")
                assert not file.exists() or b"sesame" not in file.read_bytes()
        assert list(temporary.iterdir()) == []
