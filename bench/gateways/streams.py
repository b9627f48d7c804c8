"""Many streams at once, each looked at event by event: `python bench/gateways/streams.py URL COUNT KEY MODEL [CORE]`.

Every stream has to bring every event of the upstream's paced answer (bench/upstream.py), in order, none twice and none
missing, then `[DONE]` and a proper end. Prints one JSON object; `clean` is how many did.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from urllib.parse import urlsplit

EVENTS = 103
TIME_LIMIT = 120.0


class Broken(Exception):
    """What is wrong with a stream."""


async def stream(url: str, key: str, model: str, gate: asyncio.Event) -> float:
    """Seconds to the first event. Raises Broken, OSError."""
    parts = urlsplit(url)
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}).encode()
    # The upstream looks for the field as the openai package writes it.
    body = body.replace(b'"stream": true', b'"stream":true')
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        await gate.wait()
        begun = time.perf_counter()
        writer.write(head.encode() + body)
        status = await reader.readline()
        if b" 200 " not in status:
            raise Broken(f"answered {status.decode().strip()}")
        while (await reader.readline()).strip():
            pass
        text = b""
        first = 0.0
        while size := int(await reader.readline(), 16):
            text += await reader.readexactly(size)
            await reader.readexactly(2)
            first = first or time.perf_counter() - begun
        _check(text)
        return first
    except (ValueError, asyncio.IncompleteReadError) as wrong:
        raise Broken(f"not a proper end: {wrong}") from None
    finally:
        writer.close()


def _check(text: bytes) -> None:
    events = [event.removeprefix(b"data: ") for event in text.split(b"\n\n") if event]
    if not events or events[-1] != b"[DONE]":
        raise Broken("no [DONE] at the end")
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    words = [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]
    if words != [f" {number:04d}" for number in range(EVENTS - 3)]:
        raise Broken(f"{len(words)} words of {EVENTS - 3}, or not in their order")
    if [choice["finish_reason"] for choice in choices if choice["finish_reason"]] != ["stop"]:
        raise Broken("not one finish reason")


async def main(url: str, count: int, key: str, model: str) -> dict[str, object]:
    gate = asyncio.Event()
    tasks = [asyncio.ensure_future(stream(url, key, model, gate)) for _ in range(count)]
    await asyncio.sleep(1.0)  # all connections stand
    begun = time.perf_counter()
    gate.set()
    async with asyncio.timeout(TIME_LIMIT):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    seconds = time.perf_counter() - begun
    firsts = sorted(one for one in results if isinstance(one, float))
    wrong = [f"{type(one).__name__}: {one}" for one in results if isinstance(one, BaseException)]
    return {
        "streams": count,
        "clean": len(firsts),
        "events_per_second": len(firsts) * EVENTS / seconds,
        "first_p50_ms": firsts[len(firsts) // 2] * 1e3 if firsts else 0.0,
        "first_p99_ms": firsts[len(firsts) * 99 // 100] * 1e3 if firsts else 0.0,
        "seconds": seconds,
        "wrong": wrong[:5],
    }


if __name__ == "__main__":
    _, url_, count_, key_, model_, *core = sys.argv
    if core:
        os.sched_setaffinity(0, {int(core[0])})
    print(json.dumps(asyncio.run(main(url_, int(count_), key_, model_))))
