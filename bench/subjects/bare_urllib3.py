"""urllib3 alone: an answer decoded, a stream's bytes taken as they come (`decoded_urllib3` looks at them)."""

from __future__ import annotations

from subjects import KEY, MESSAGES, MODEL

HEADERS = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}


def load():
    import json  # noqa: F401 - the import is what is measured

    import urllib3  # noqa: F401


def caller(base):
    import json

    import urllib3

    pool = urllib3.PoolManager()

    def run():
        body = json.dumps({"model": MODEL, "messages": MESSAGES, "temperature": 0.5}).encode()
        answer = pool.request("POST", f"{base}/chat/completions", body=body, headers=HEADERS)
        return len(json.loads(answer.data)["choices"][0]["message"]["content"])

    return run


def streamer(base):
    return reading(base, len)


def reading(base, take):
    """Reads a stream and gives each piece to `take`, which tells how much it was."""
    import json

    import urllib3

    pool = urllib3.PoolManager()

    def run():
        body = json.dumps({"model": MODEL, "messages": MESSAGES, "temperature": 0.5, "stream": True}).encode()
        answer = pool.request("POST", f"{base}/chat/completions", body=body, headers=HEADERS, preload_content=False)
        total = 0
        while piece := answer.read1(65536):
            total += take(piece)
        answer.release_conn()
        return total

    return run
