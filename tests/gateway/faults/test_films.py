"""A film that breaks off at its provider. It is a file: nothing can be said after its head but that it is not whole."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import openai
import pytest

from tests.faultserver import Answer, Close, FaultServer, Reset, Step, answer
from tests.faultserver.answers import Framing
from tests.gateway.serving import KEY, SERVERS, Serving, deployment

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")]

FILM = {"id": "video_1", "object": "video", "model": "sora-2", "status": "completed", "progress": 100, "created_at": 1}
HEAD = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
# Beyond what any server gathers before it sends.
WHOLE = HEAD + bytes(range(256)) * 1024
STILL = b"\x89PNG\r\n\x1a\n" + WHOLE
ENDS: dict[str, Step] = {"closed": Close(), "reset": Reset()}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def gateway(
    request: pytest.FixtureRequest, server: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    models = [deployment("film", server.url, "openai/sora-2", num_retries=0)]
    with Serving(tmp_path_factory.mktemp("films"), models=models, server=request.param) as gateway:
        yield gateway


@pytest.fixture
def film(gateway: Serving, server: FaultServer) -> Iterator[str]:
    """The path of a film that is made."""
    server.play_once(answer(json.dumps(FILM)))
    made = gateway.ask("POST", "/v1/videos", {"model": "film", "prompt": "a raven"})
    yield f"/v1/videos/{made.json['id']}"
    server.forget()


def sent(framing: Framing, data: bytes = WHOLE) -> Answer:
    return Answer(body=(data[: len(data) // 2], data[len(data) // 2 :]), framing=framing)


@pytest.mark.parametrize(("variant", "data"), [("video", WHOLE), ("thumbnail", STILL)], ids=["film", "still"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_film_that_breaks_off_breaks_the_connection(
    gateway: Serving, server: FaultServer, film: str, framing: Framing, end: str, variant: str, data: bytes
) -> None:
    """Under either server, also where no length was promised; what comes next is served."""
    path, told = f"{film}/content?variant={variant}", len(gateway.lines)
    server.play_once(sent(framing, data).first(1), ENDS[end])
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        gateway.get(path)
    gateway.wait_for_line(lambda line: line in gateway.lines[told:] and line.get("error") == "upstream_unreachable")
    server.play_once(sent(framing, data))
    found = gateway.get(path)
    assert (found.status, found.body) == (200, data)


def test_the_official_client_raises_it(gateway: Serving, server: FaultServer, film: str) -> None:
    server.play_once(sent("chunked").first(1), Close())
    with (
        openai.OpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.videos.download_content(film.rpartition("/")[2]).read()
