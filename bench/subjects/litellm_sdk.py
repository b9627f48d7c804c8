from __future__ import annotations

import os

from subjects import KEY, MESSAGES, MODEL

MODEL = f"openai/{MODEL}"


def load():
    # Its price list comes from the package, in place of a download at import.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from litellm import acompletion, completion  # noqa: F401 - the import is what is measured


def _options(base):
    return {"model": MODEL, "messages": MESSAGES, "temperature": 0.5, "api_base": base, "api_key": KEY}


def caller(base):
    from litellm import completion

    options = _options(base)
    return lambda: len(completion(**options).choices[0].message.content)


def streamer(base):
    from litellm import completion

    options = _options(base)

    def run():
        total = 0
        for chunk in completion(**options, stream=True):
            for choice in chunk.choices:
                total += len(choice.delta.content or "")
        return total

    return run


async def acaller(base):
    from litellm import acompletion

    options = _options(base)

    async def run():
        return len((await acompletion(**options)).choices[0].message.content)

    return run


async def astreamer(base):
    from litellm import acompletion

    options = _options(base)

    async def run():
        total = 0
        async for chunk in await acompletion(**options, stream=True):
            for choice in chunk.choices:
                total += len(choice.delta.content or "")
        return total

    return run


async def aclose():
    pass
