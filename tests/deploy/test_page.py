"""docs/deploy.md says what is so: its flags, its limits, and a proxy with its very lines."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quoth.gateway.serve import parent
from quoth.gateway.serve.probe import is_ready
from quoth.gateway.settings import Server
from tests.docs.pages import ROOT, blocks
from tests.gateway.serve.running import LONG, Running, eventually

PAGE = ROOT / "docs" / "deploy.md"


def test_every_flag_is_in_the_table() -> None:
    page = subprocess.run(
        [sys.executable, "-m", "quoth.cli", "serve", "--help"], capture_output=True, text=True, check=True
    ).stdout
    offered = set(re.findall(r"(?<![\w-])--[a-z_-]+", page.partition("Options:")[2].partition("Examples:")[0]))
    table = PAGE.read_text().partition("## Flags")[2].partition("One line per request")[0]
    assert set(re.findall(r"`(--[a-z_-]+)`", table)) == offered - {"--json", "--debug", "--help"}
    for variable in re.findall(r"`([A-Z_]+)`", table.partition("\n| `--config`")[2]):
        assert variable == "POE_API_KEY" or re.search(rf"env\s+var:\s+{variable}\b", page)


def test_numbers() -> None:
    text = PAGE.read_text()
    server = Server()
    assert f"| {server.port}; 0 takes" in text
    assert f"| {server.host} |" in text
    assert f"{server.header_timeout:g} s (`header_timeout`)" in text
    assert f"{parent._CONNECTIONS:,} connections at a time" in text


# --- nginx ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[Running, int]]:
    """The gateway and the port of an nginx in front of it, set up as the page says."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not here")
    (block,) = [block for block in blocks(PAGE) if block.language == "nginx"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Running(tmp_path) as gateway:
        page = block.body.replace("127.0.0.1:4000", f"127.0.0.1:{gateway.address[1]}")
        page = page.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        assert str(port) in page
        assert str(gateway.address[1]) in page
        temporary = "".join(
            f"{name}_temp_path {tmp_path}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        file = tmp_path / "nginx.conf"
        file.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr warn;\nevents {{}}\n"
            f"http {{ access_log off;\n{temporary}{page}}}\n"
        )
        process = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(file)])
        try:
            eventually(lambda: is_ready(f"http://127.0.0.1:{port}"))
            yield gateway, port
        finally:
            process.terminate()
            process.wait()


def test_events_pass_the_proxy_one_by_one(proxied: tuple[Running, int]) -> None:
    _, port = proxied
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
    connection.request("POST", "/stream", "20")
    answer = connection.getresponse()
    arrived = []
    while line := answer.readline():
        if line.startswith(b"data: "):
            arrived.append(time.monotonic())
    assert len(arrived) == 21
    # They are sent a tenth of a second apart; behind a buffer they would come together.
    assert arrived[-1] - arrived[0] > 1
    connection.close()


def test_probe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "quoth.gateway.serve.probe"]
    with Running(tmp_path) as gateway:
        url = f"http://127.0.0.1:{gateway.address[1]}"
        assert subprocess.run([*command, url], check=False).returncode == 0
    assert subprocess.run([*command, url], check=False).returncode == 1
