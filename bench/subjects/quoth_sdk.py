from __future__ import annotations

import os

from subjects import KEY, MESSAGES, MODEL

MODEL = f"poe/{MODEL}"


def load():
    from quoth import acompletion, completion  # noqa: F401 - the import is what is measured


def caller(base):
    from quoth import completion

    os.environ.update(POE_API_KEY=KEY, POE_API_BASE=base)
    return lambda: len(completion(MODEL, MESSAGES, temperature=0.5).choices[0].message.content)


def streamer(base):
    from quoth import completion

    os.environ.update(POE_API_KEY=KEY, POE_API_BASE=base)

    def run():
        total = 0
        for chunk in completion(MODEL, MESSAGES, temperature=0.5, stream=True):
            for choice in chunk.choices:
                total += len(choice.delta.content or "")
        return total

    return run


async def acaller(base):
    from quoth import acompletion

    os.environ.update(POE_API_KEY=KEY, POE_API_BASE=base)

    async def run():
        return len((await acompletion(MODEL, MESSAGES, temperature=0.5)).choices[0].message.content)

    return run


async def astreamer(base):
    from quoth import acompletion

    os.environ.update(POE_API_KEY=KEY, POE_API_BASE=base)

    async def run():
        total = 0
        async for chunk in await acompletion(MODEL, MESSAGES, temperature=0.5, stream=True):
            for choice in chunk.choices:
                total += len(choice.delta.content or "")
        return total

    return run


async def aclose():
    pass
