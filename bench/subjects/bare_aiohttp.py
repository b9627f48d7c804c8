"""aiohttp alone: an answer decoded, a stream's bytes taken as they come and not looked at."""

from __future__ import annotations

from subjects import KEY, MESSAGES, MODEL

HEADERS = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
_sessions = []


def load():
    import aiohttp  # noqa: F401 - the import is what is measured


def _post(base, **body):
    import json

    return json.dumps({"model": MODEL, "messages": MESSAGES, "temperature": 0.5, **body}).encode()


async def _session():
    import aiohttp

    session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
    _sessions.append(session)
    return session


async def acaller(base):
    import json

    session = await _session()
    url = f"{base}/chat/completions"

    async def run():
        async with session.post(url, data=_post(base), headers=HEADERS) as answer:
            return len(json.loads(await answer.read())["choices"][0]["message"]["content"])

    return run


async def astreamer(base):
    session = await _session()
    url = f"{base}/chat/completions"

    async def run():
        total = 0
        async with session.post(url, data=_post(base, stream=True), headers=HEADERS) as answer:
            async for piece in answer.content.iter_any():
                total += len(piece)
        return total

    return run


async def aclose():
    for session in _sessions:
        await session.close()
