"""Saving media: whole or not at all, of the kind that was said, and nothing given away on the way."""

from __future__ import annotations

import asyncio
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from quoth.media import Media
from quoth.transport.reach import is_public

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400


class Files(ThreadingHTTPServer):
    """`/png` is a picture, `/cut` breaks off twice on the way, `/to?URL` redirects, `/text` is none."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.cuts = 2
        self.etag = '"one"'

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Files
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, headers))
        path, _, query = self.path.partition("?")
        if path == "/to":
            self._head(302, 0, location=query)
        elif path == "/png":
            self._head(200, len(PNG))
            self.wfile.write(PNG)
        elif path == "/cut":
            start = int(headers["range"][6:-1]) if headers.get("if-range") == self.server.etag else 0
            rest = PNG[start:]
            extra = {"content_range": f"bytes {start}-{len(PNG) - 1}/{len(PNG)}"} if start else {}
            self._head(206 if start else 200, len(rest), etag=self.server.etag, **extra)
            if self.server.cuts:
                self.server.cuts -= 1
                rest = rest[: len(rest) // 2]
                self.close_connection = True
            self.wfile.write(rest)
        elif path == "/text":
            self._head(200, 6)
            self.wfile.write(b"<html>")
        else:
            self._head(404, 0)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


@pytest.fixture
def files() -> Iterator[Files]:
    with Files() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=["blocking", "asyncio"])
def download(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    if request.param == "blocking":
        return quoth.download

    def run(*arguments: Any, **keywords: Any) -> Path:
        path: Path = asyncio.run(quoth.adownload(*arguments, **keywords))
        return path

    return run


def test_what_the_emulator_made(download: Any, emulator: Emulator, tmp_path: Path) -> None:
    for model, kind, start in (
        ("Imagen-4", "image", b"\x89PNG"),
        ("Veo-3", "video", b"\0\0\0"),
        ("Sonic-3.0", "audio", b"RIFF"),
    ):
        answer = quoth.completion(f"poe/{model}", [{"role": "user", "content": "A raven"}])
        [item] = answer.choices[0].message.media
        path = download(item)
        assert path.name.startswith(f"{kind}-")
        assert path.read_bytes().startswith(start)
    with wave.open(str(path)) as sound:
        assert sound.getnframes()
    assert len(list(tmp_path.iterdir())) == 3


def test_who_is_calling_is_not_said(download: Any, files: Files) -> None:
    download(f"{files.url}/png")
    [(_, headers)] = files.seen
    assert "authorization" not in headers
    assert headers["user-agent"].startswith("Mozilla/5.0")


def test_the_place_and_the_name(download: Any, files: Files, tmp_path: Path) -> None:
    url = f"{files.url}/png"
    assert download(url, "raven").name == "raven.png"
    assert download(url, tmp_path / "other.img").read_bytes() == PNG
    (tmp_path / "folder").mkdir()
    first, second = download(url, "folder"), download(url, "folder")
    assert first != second
    assert first.read_bytes() == second.read_bytes() == PNG


def test_nothing_is_written_over_unless_asked(download: Any, files: Files, tmp_path: Path) -> None:
    kept = tmp_path / "raven.png"
    kept.write_text("mine")
    for path in ("raven.png", "raven"):
        with pytest.raises(FileExistsError):
            download(f"{files.url}/png", path)
    assert kept.read_text() == "mine"
    assert download(f"{files.url}/png", "raven.png", overwrite=True).read_bytes() == PNG
    assert [path.name for path in tmp_path.iterdir()] == ["raven.png"]


def test_a_broken_download_goes_on_where_it_broke(download: Any, files: Files) -> None:
    assert download(f"{files.url}/cut").read_bytes() == PNG
    ranges = [headers.get("range") for _, headers in files.seen]
    assert ranges[0] is None
    assert all(ranges[1:])
    assert len(ranges) == 3


def test_a_file_that_changed_meanwhile_is_read_anew(download: Any, files: Files) -> None:
    files.cuts, files.etag = 1, "W/weak"
    assert download(f"{files.url}/cut").read_bytes() == PNG
    assert [headers.get("range") for _, headers in files.seen] == [None, None]


@pytest.mark.parametrize(
    ("path", "kind", "error", "said"),
    [
        ("/text", "image", quoth.APIError, "is no image: it begins with b'<html>'"),
        ("/png", "video", quoth.APIError, "is of type image/png, not video"),
        ("/none", "image", quoth.NotFoundError, "answered 404"),
        ("/to?/to?/png", "image", quoth.APIError, "redirects more than"),
        ("/to?file:///etc/passwd", "image", quoth.APIError, "is no http"),
        ("/cut", "image", quoth.APIConnectionError, "/cut"),
    ],
)
def test_what_is_not_kept(
    download: Any, files: Files, tmp_path: Path, path: str, kind: Any, error: type[Exception], said: str
) -> None:
    files.cuts = 9
    if path == "/to?/to?/png":
        path = "/to?/to?/to?/to?/to?/to?/to?/png"
    with pytest.raises(error, match=said.replace("?", "[?]")):
        download(Media(kind, files.url + path))
    assert list(tmp_path.iterdir()) == []


def test_no_redirect_leads_into_a_private_network(download: Any, files: Files, tmp_path: Path) -> None:
    assert download(f"{files.url}/to?/png").read_bytes() == PNG
    with Files() as other, pytest.raises(quoth.APIError, match="no host of the public internet"):
        download(f"{files.url}/to?{other.url}/png", "other")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_largest_size(download: Any, files: Files, tmp_path: Path) -> None:
    with pytest.raises(quoth.APIError, match="larger than 1000 bytes"):
        download(f"{files.url}/png", max_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_data_urls(download: Any) -> None:
    assert download("data:image/png;base64,iVBORw0KGgo=").suffix == ".png"
    assert download("Data:image/png;BASE64,iVBORw0KGgo=").suffix == ".png"
    for url in ("data:image/png;base64,%%", "data:", "ftp://example.org/x", "raven.png"):
        with pytest.raises(quoth.BadRequestError):
            download(url)


def test_public_and_private_hosts() -> None:
    assert is_public("8.8.8.8")
    for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "100.64.0.1", "localhost", ""):
        assert not is_public(host)
