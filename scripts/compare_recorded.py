"""Compare the emulator with recorded exchanges: `python scripts/compare_recorded.py DIR`.

Every recorded chat exchange in DIR (`chat-*.json` with endpoint, request, status, headers, body) is sent to a fresh
emulator. Compared are status, the headers that matter, keys and types at every depth, the form of ids, units of time,
finish reasons, the shape of the content, tool calls with their arguments, and error bodies word by word. The words of
an answer differ, of course. Where the two differ, the recording is right. Prints a table, exits 1 on any difference.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quoth.emulator import Emulator

HEADERS_WITH_VALUE = (
    "content-type",
    "openai-version",
    "access-control-allow-origin",
    "access-control-allow-headers",
    "retry-after",
)
HEADERS_BY_NAME = ("openai-processing-ms", "x-poe-feature-active", "x-request-id", "x-ratelimit-limit-requests")

# The forms of ids that occur; two ids agree when the same form fits both.
ID_FORMS = (
    r"chatcmpl-[0-9a-f]{24}",
    r"call_\d{8}",
    r"call_[0-9A-Za-z]{24}",
    r"tool_\w+_[0-9A-Za-z]{20}",
    r"[\w-]+:\d+",
)
CONTENT_FORMS = (
    r"",
    r"https://[\w.]+/base/(video|audio)/[0-9a-f]{64}",
    r"!\[[^\]]*\]\(https://[\w.]+/base/image/[0-9a-f]{64}\?w=\d+&h=\d+\S*\)\n\n+https://[\w.]+/base/image/\S+",
)
POE_FILES = "https://pfst.cf2.poecdn.net"
# Counts of two tokenizers may differ by so much.
TOKEN_TOLERANCE = 0.15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the recordings are")
    arguments = parser.parse_args()
    files = sorted(arguments.directory.glob("chat-*.json"))
    if not files:
        print(f"No chat-*.json in {arguments.directory}: name the directory that holds the recorded exchanges.")
        return 2
    failed = 0
    width = max(len(path.stem) for path in files)
    for path in files:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        with Emulator(token_delay=0, media_origin=POE_FILES) as emulator:
            emulated = replay(emulator, recorded)
        differences = list(compare(recorded, emulated))
        failed += bool(differences)
        print(f"{path.stem:{width}}  {recorded['status']}  {'DIFFERS' if differences else 'agrees'}")
        for difference in differences:
            print(f"{'':{width}}       {difference}")
    print(f"\n{len(files) - failed} of {len(files)} agree.")
    return 1 if failed else 0


def replay(emulator: Emulator, recorded: dict[str, Any]) -> dict[str, Any]:
    """The emulator's answer to a recorded request, in the form of a recording."""
    connection = http.client.HTTPConnection(emulator.origin.removeprefix("http://"))
    try:
        headers = {"Authorization": "Bearer emulated-key", "Content-Type": "application/json"}
        connection.request("POST", recorded["endpoint"], json.dumps(recorded["request"]), headers)
        response = connection.getresponse()
        body = json.loads(response.read())
        names = {name.lower(): value for name, value in response.getheaders()}
        return {"status": response.status, "headers": names, "body": body}
    finally:
        connection.close()


def compare(recorded: dict[str, Any], emulated: dict[str, Any]) -> Iterator[str]:
    """Every difference that matters, in words."""
    if recorded["status"] != emulated["status"]:
        yield f"status: recorded {recorded['status']}, emulated {emulated['status']}"
        return
    yield from compare_headers(recorded["headers"], emulated["headers"])
    if recorded["status"] >= 400:
        if recorded["body"] != emulated["body"]:
            yield f"body: recorded {recorded['body']}, emulated {emulated['body']}"
        return
    yield from compare_values("body", recorded["body"], emulated["body"])


def compare_headers(recorded: dict[str, str], emulated: dict[str, str]) -> Iterator[str]:
    for name in (*HEADERS_WITH_VALUE, *HEADERS_BY_NAME):
        missing = (name in recorded) != (name in emulated)
        if missing or (name in HEADERS_WITH_VALUE and recorded.get(name) != emulated.get(name)):
            yield f"header {name}: recorded {recorded.get(name)!r}, emulated {emulated.get(name)!r}"


def compare_values(place: str, recorded: Any, emulated: Any) -> Iterator[str]:
    """Keys and types at every depth, and the leaves that have a form."""
    if type(recorded) is not type(emulated):
        yield f"{place}: recorded {type(recorded).__name__}, emulated {type(emulated).__name__}"
    elif isinstance(recorded, dict):
        for key in [*recorded, *(key for key in emulated if key not in recorded)]:
            inner = f"{place}.{key}"
            if key not in emulated:
                yield f"{inner}: recorded, not emulated"
            elif key not in recorded:
                yield f"{inner}: emulated, not recorded"
            else:
                yield from compare_values(inner, recorded[key], emulated[key])
    elif isinstance(recorded, list):
        if len(recorded) != len(emulated):
            yield f"{place}: recorded {len(recorded)} items, emulated {len(emulated)}"
        for index, (left, right) in enumerate(zip(recorded, emulated, strict=False)):
            yield from compare_values(f"{place}[{index}]", left, right)
    else:
        yield from compare_leaf(place, recorded, emulated)


def compare_leaf(place: str, recorded: Any, emulated: Any) -> Iterator[str]:
    name = place.rpartition(".")[2]
    agree = True
    if name in ("object", "model", "role", "type", "name", "finish_reason", "arguments", "index"):
        agree = recorded == emulated
    elif name == "id":
        agree = form_of(recorded, ID_FORMS) == form_of(emulated, ID_FORMS)
    elif name == "content":
        agree = form_of(recorded, CONTENT_FORMS) == form_of(emulated, CONTENT_FORMS)
    elif name == "created":
        agree = len(str(recorded)) == len(str(emulated))
    elif name == "prompt_tokens":
        agree = abs(recorded - emulated) <= max(1, TOKEN_TOLERANCE * recorded)
    elif name == "completion_tokens":
        agree = (recorded == 0) == (emulated == 0)
    if not agree:
        yield f"{place}: recorded {recorded!r}, emulated {emulated!r}"


def form_of(text: str, forms: tuple[str, ...]) -> str | None:
    return next((form for form in forms if re.fullmatch(form, text)), None)


if __name__ == "__main__":
    sys.exit(main())
