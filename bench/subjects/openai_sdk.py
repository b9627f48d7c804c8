from __future__ import annotations

from subjects import KEY, MESSAGES, MODEL

_clients = []


def load():
    from openai import AsyncOpenAI, OpenAI  # noqa: F401 - the import is what is measured


def caller(base):
    from openai import OpenAI

    create = OpenAI(api_key=KEY, base_url=base).chat.completions.create
    return lambda: len(create(model=MODEL, messages=MESSAGES, temperature=0.5).choices[0].message.content)


def streamer(base):
    from openai import OpenAI

    create = OpenAI(api_key=KEY, base_url=base).chat.completions.create

    def run():
        total = 0
        for chunk in create(model=MODEL, messages=MESSAGES, temperature=0.5, stream=True):
            for choice in chunk.choices:
                total += len(choice.delta.content or "")
        return total

    return run


def _client(base):
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=base)
    _clients.append(client)
    return client


async def acaller(base):
    create = _client(base).chat.completions.create

    async def run():
        answer = await create(model=MODEL, messages=MESSAGES, temperature=0.5)
        return len(answer.choices[0].message.content)

    return run


async def astreamer(base):
    create = _client(base).chat.completions.create

    async def run():
        total = 0
        async for chunk in await create(model=MODEL, messages=MESSAGES, temperature=0.5, stream=True):
            for choice in chunk.choices:
                total += len(choice.delta.content or "")
        return total

    return run


async def aclose():
    for client in _clients:
        await client.close()
