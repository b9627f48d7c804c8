"""The libraries, each doing the same work in the way its documentation shows.

`load()` imports it. `caller(base)` gives a function that makes one blocking call and returns the length of the text
that came; `streamer(base)` one that reads a stream to its end, looking at each chunk's text, and returns how many
characters it had. `acaller` and `astreamer` are their asyncio forms; `aclose()` ends what they opened.
"""

from __future__ import annotations

MODEL = "gemini-3.1-pro"  # which Quoth calls over chat, as the others do
MESSAGES = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "What is the capital of France?"},
]
KEY = "bench-0123456789abcdef"
