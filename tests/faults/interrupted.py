"""A program that is interrupted while it waits: `python -m tests.faults.interrupted URL FACE SCENE`.

It prints the monotonic moment at which the interrupt had ended its wait, and ends as Ctrl-C ends programs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from quoth.sdk.client import AsyncClient, Client

MESSAGES = [{"role": "user", "content": "hello"}]
SCENES: dict[str, dict[str, Any]] = {
    "head": {"model": "custom_openai/m"},
    "chunks": {"model": "custom_openai/m", "stream": True},
    "back-off": {"model": "custom_openai/m", "num_retries": 3},
    "parallel": {"model": "poe/Claude-Sonnet-4.6", "n": 3},
    "parallel back-off": {"model": "poe/Claude-Sonnet-4.6", "n": 3, "num_retries": 3},
}


def blocking(url: str, scene: str) -> None:
    client = Client(api_base=f"{url}/v1", api_key="sk-interrupted")
    answer: Any = client._complete(messages=MESSAGES, **SCENES[scene])
    for _ in answer:
        pass


async def asynchronous(url: str, scene: str) -> None:
    async with AsyncClient(api_base=f"{url}/v1", api_key="sk-interrupted") as client:
        answer: Any = await client._complete(messages=MESSAGES, **SCENES[scene])
        async for _ in answer:
            pass


def main(url: str, face: str, scene: str) -> None:
    print("ready", flush=True)
    try:
        if face == "blocking":
            blocking(url, scene)
        else:
            asyncio.run(asynchronous(url, scene))
    except KeyboardInterrupt:
        print(time.monotonic(), flush=True)
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
