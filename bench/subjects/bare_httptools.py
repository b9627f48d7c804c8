"""httptools on an asyncio protocol, one connection: the least that can make a call. A stream's bytes are taken as they
come (`decoded_httptools` looks at them)."""

from __future__ import annotations

from subjects import KEY, MESSAGES, MODEL

_connections = []


def load():
    import asyncio  # noqa: F401 - the import is what is measured
    import json  # noqa: F401

    import httptools  # noqa: F401


async def _connect(base):
    import asyncio
    from urllib.parse import urlsplit

    import httptools

    class Connection(asyncio.Protocol):
        def __init__(self):
            self.loop = asyncio.get_running_loop()

        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.parser.feed_data(data)
            self.wake()

        def on_body(self, piece):
            self.pieces.append(piece)

        def on_message_complete(self):
            self.done = True

        def wake(self):
            if self.waiter is not None and not self.waiter.done():
                self.waiter.set_result(None)

        def send(self, data):
            self.parser = httptools.HttpResponseParser(self)
            self.pieces, self.done, self.waiter = [], False, None
            self.transport.write(data)

        async def wait(self):
            self.waiter = self.loop.create_future()
            await self.waiter

    url = urlsplit(base)
    _, connection = await asyncio.get_running_loop().create_connection(Connection, url.hostname, url.port)
    _connections.append(connection)
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-length: "
    ).encode()
    return connection, head


def _request(head, **body):
    import json

    data = json.dumps({"model": MODEL, "messages": MESSAGES, "temperature": 0.5, **body}).encode()
    return b"%b%d\r\n\r\n%b" % (head, len(data), data)


async def acaller(base):
    import json

    connection, head = await _connect(base)

    async def run():
        connection.send(_request(head))
        while not connection.done:
            await connection.wait()
        return len(json.loads(b"".join(connection.pieces))["choices"][0]["message"]["content"])

    return run


async def astreamer(base):
    return await reading(base, len)


async def reading(base, take):
    """Reads a stream and gives each piece to `take`, which tells how much it was."""
    connection, head = await _connect(base)

    async def run():
        total = 0
        connection.send(_request(head, stream=True))
        while not connection.done:
            await connection.wait()
            pieces, connection.pieces = connection.pieces, []
            total += take(b"".join(pieces))
        return total

    return run


async def aclose():
    for connection in _connections:
        connection.transport.close()
