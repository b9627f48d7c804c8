"""httptools and the standard json: the least with which an asyncio program gets at the text of a stream."""

from __future__ import annotations

from subjects import bare_httptools, decoded_urllib3

load = bare_httptools.load
aclose = bare_httptools.aclose


async def astreamer(base):
    return await bare_httptools.reading(base, decoded_urllib3.text_of())
