"""urllib3 alone: an answer decoded, a stream's bytes taken as they come and not looked at."""

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
    import json

    import urllib3

    pool = urllib3.PoolManager()

    def run():
        body = json.dumps({"model": MODEL, "messages": MESSAGES, "temperature": 0.5, "stream": True}).encode()
        answer = pool.request("POST", f"{base}/chat/completions", body=body, headers=HEADERS, preload_content=False)
        total = 0
        while piece := answer.read1(65536):
            total += len(piece)
        answer.release_conn()
        return total

    return run
