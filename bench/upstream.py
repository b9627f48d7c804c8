"""The server that is called: the cheapest that can answer, so that what is measured is the caller.

    python bench/upstream.py [CORE]       prints the port it listens on, and serves until its stdin closes

It looks at no more of a request than it must. `/v1/...` answers at once: one completion, or, to `"stream":true`, a
short stream. `/paced/v1/...` streams 103 events 2 ms apart, each in a write of its own. `/burst/v1/...` streams 2,000
events in one write. `.../v1/messages` says the same in Anthropic's words. It is not the emulator, which does far more
per request.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

PACED_EVENTS, PACED_SECONDS = 103, 0.002
BURST_EVENTS = 2000
COMPLETION_BYTES = 480


def _completion() -> bytes:
    body = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gemini-3.1-pro",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 14, "completion_tokens": 42, "total_tokens": 56},
    }
    text = "The capital of France is Paris. " * 16
    room = COMPLETION_BYTES - len(json.dumps(body))
    body["choices"][0]["message"]["content"] = text[:room]  # type: ignore[index]
    return json.dumps(body).encode()


def _events(count: int) -> list[bytes]:
    """`count` events: the role, words, a finish reason, the usage; `[DONE]` travels with the last."""
    head = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "gemini-3.1-pro",
    }

    def event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode()

    usage = {"prompt_tokens": 14, "completion_tokens": count - 3, "total_tokens": count + 11}
    last = f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode()
    # Words of one length that differ: LiteLLM gives up on a model that repeats itself.
    words = [event({"content": f" {number:04d}"}) for number in range(count - 3)]
    return [event({"role": "assistant", "content": ""}), *words, event({}, "stop"), last]


def _message() -> bytes:
    """The same answer as a message of Anthropic's."""
    completion = json.loads(_completion())
    choice, usage = completion["choices"][0], completion["usage"]
    body = {
        "id": "msg_0123456789abcdef",
        "type": "message",
        "role": "assistant",
        "model": completion["model"],
        "content": [{"type": "text", "text": choice["message"]["content"]}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
    }
    return json.dumps(body).encode()


def _message_events(count: int) -> list[bytes]:
    """`count` pieces: the head and the block's begin, words, the block's end with the reason, the end."""

    def event(name: str, **fields: object) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()

    message = {**json.loads(_message()), "content": [], "stop_reason": None}
    block = {"type": "text", "text": ""}
    begin = event("message_start", message=message) + event("content_block_start", index=0, content_block=block)
    words = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" {number:04d}"})
        for number in range(count - 3)
    ]
    reason = {"stop_reason": "end_turn", "stop_sequence": None}
    end = event("message_delta", delta=reason, usage={"output_tokens": count - 3})
    return [begin, *words, event("content_block_stop", index=0) + end, event("message_stop")]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_0\r\ncontent-length: %d\r\n\r\n"
ANSWER, MESSAGE = (_HEAD % len(body) + body for body in (_completion(), _message()))
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PACED = [_chunk(event) for event in _events(PACED_EVENTS)]
BURST = STREAM_HEAD + b"".join(_chunk(event) for event in _events(BURST_EVENTS)) + b"0\r\n\r\n"
PACED_MESSAGE = [_chunk(event) for event in _message_events(PACED_EVENTS)]
SHORT_MESSAGE = STREAM_HEAD + b"".join(_chunk(event) for event in _message_events(8)) + b"0\r\n\r\n"
SHORT = STREAM_HEAD + b"".join(_chunk(event) for event in _events(8)) + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.split(b"\r\n", 1)[0] or 0):
            return
        self.buffer = b""
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self.transport.write(MESSAGE if b"/messages " in head[:40] else ANSWER)
        elif b" /paced/" in head[:32]:
            self.transport.write(STREAM_HEAD)
            self.pace(PACED_MESSAGE if b"/messages " in head[:40] else PACED, 0, self.loop.time())
        elif b"/messages " in head[:40]:
            self.transport.write(SHORT_MESSAGE)
        else:
            self.transport.write(BURST if b" /burst/" in head[:32] else SHORT)

    def pace(self, events: list[bytes], number: int, begun: float) -> None:
        if self.transport.is_closing():
            return
        if number == PACED_EVENTS:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(events[number])
        self.loop.call_at(begun + PACED_SECONDS * (number + 1), self.pace, events, number + 1, begun)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    asyncio.run(_serve())
