"""Compare the emulator with recorded exchanges: `python scripts/compare_recorded.py DIR`.

Every recorded exchange in DIR (JSON files with endpoint, request, status, headers, body: chat completions, Responses,
Messages) is sent to a fresh emulator. Compared are status, the headers that matter, keys and their order and types at
every depth, the form of ids, names of models, units of time, finish reasons, the shape of the content, tool calls with
their arguments, what the prompt cache did, and error bodies word by word. A recorded conversation that was read from
the cache is preceded by its earlier turns, as it was. The words of an answer differ, of course, and so does how often a
model thinks. Where the two differ, the recording is right. Prints a table, exits 1 on any difference.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import sys
import time
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
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
)
HEADERS_BY_NAME = (
    "openai-processing-ms",
    "x-poe-feature-active",
    "x-request-id",
    "x-ratelimit-limit-requests",
    "anthropic-ratelimit-requests-reset",
)
MESSAGES = "/v1/messages"
REFILLED_IN = 0.25  # seconds until the limit of requests has forgotten one

# The forms of ids that occur; two ids agree when the same form fits both.
ID_FORMS = (
    r"chatcmpl-[0-9a-f]{24}",
    r"call_\d{8}",
    r"call_[0-9A-Za-z]{24}",
    r"tool_\w+_[0-9A-Za-z]{20}",
    r"[\w-]+:\d+",
    r"resp_[A-Za-z0-9+/]{156}=*",
    r"rs_0[0-9a-f]{49}",
    r"msg_0[0-9a-f]{49}",
    r"fc_0[0-9a-f]{49}",
    r"req_poe_[0-9a-f]{32}",
    r"toolu_vrtx_01[0-9A-Za-z]{22}",
    r"toolu_01[0-9A-Za-z]{22}",
)
CONTENT_FORMS = (
    r"",
    r"https://[\w.]+/base/(video|audio)/[0-9a-f]{64}",
    r"!\[[^\]]*\]\(https://[\w.]+/base/image/[0-9a-f]{64}\?w=\d+&h=\d+\S*\)\n\n+https://[\w.]+/base/image/\S+",
)
POE_FILES = "https://pfst.cf2.poecdn.net"
# What must be the same, word by word. `location` and `city` are arguments of the recorded tools.
SAME = frozenset(
    """
    object model role type name finish_reason arguments index status effort summary verbosity temperature top_p
    tool_choice parallel_tool_calls truncation strict store background payer service_tier phase stop_reason
    stop_sequence inference_geo location description
    """.split()
)
# Four characters are a token in the emulator, so that only whether something was cached can be the same.
CACHED = frozenset(
    "cache_creation_input_tokens cache_read_input_tokens ephemeral_5m_input_tokens ephemeral_1h_input_tokens".split()
)
# Counts of two tokenizers may differ by so much.
TOKEN_TOLERANCE = 0.15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the recordings are")
    arguments = parser.parse_args()
    files = sorted(
        path for name in ("chat", "messages", "responses") for path in arguments.directory.glob(f"{name}-*.json")
    )
    if not files:
        print(f"No recordings in {arguments.directory}: name the directory that holds the recorded exchanges.")
        return 2
    failed = 0
    width = max(len(path.stem) for path in files)
    for path in files:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        with Emulator(token_delay=0, media_origin=POE_FILES) as emulator:
            for earlier in turns_before(recorded):
                replay(emulator, earlier)
                time.sleep(REFILLED_IN)
            emulated = replay(emulator, recorded)
        differences = list(compare(recorded, emulated))
        failed += bool(differences)
        print(f"{path.stem:{width}}  {recorded['status']}  {'DIFFERS' if differences else 'agrees'}")
        for difference in differences:
            print(f"{'':{width}}       {difference}")
    print(f"\n{len(files) - failed} of {len(files)} agree.")
    return 1 if failed else 0


def turns_before(recorded: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The request without its last turn, when it was read from what an earlier one had written to the cache."""
    usage = recorded["body"].get("usage", {})
    if recorded["endpoint"] == MESSAGES and usage.get("cache_read_input_tokens"):
        request = recorded["request"]
        yield {**recorded, "request": {**request, "messages": request["messages"][:-2]}}


def replay(emulator: Emulator, recorded: dict[str, Any]) -> dict[str, Any]:
    """The emulator's answer to a recorded request, in the form of a recording."""
    connection = http.client.HTTPConnection(emulator.origin.removeprefix("http://"))
    try:
        headers = {"Authorization": "Bearer emulated-key", "Content-Type": "application/json"}
        headers["anthropic-version"] = "2023-06-01"
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
        if [key for key in recorded if key in emulated] != [key for key in emulated if key in recorded]:
            yield f"{place}: recorded in the order {', '.join(recorded)}, emulated {', '.join(emulated)}"
        for key in [*recorded, *(key for key in emulated if key not in recorded)]:
            inner = f"{place}.{key}"
            if key not in emulated:
                yield f"{inner}: recorded, not emulated"
            elif key not in recorded:
                yield f"{inner}: emulated, not recorded"
            else:
                yield from compare_values(inner, recorded[key], emulated[key])
    elif isinstance(recorded, list):
        # How many parts a summary of reasoning has is the model's affair.
        if len(recorded) != len(emulated) and not (place.endswith(".summary") and recorded and emulated):
            yield f"{place}: recorded {len(recorded)} items, emulated {len(emulated)}"
        for index, (left, right) in enumerate(zip(recorded, emulated, strict=False)):
            yield from compare_values(f"{place}[{index}]", left, right)
    else:
        yield from compare_leaf(place, recorded, emulated)


def compare_leaf(place: str, recorded: Any, emulated: Any) -> Iterator[str]:
    name = place.rpartition(".")[2]
    agree = True
    if name in SAME:
        agree = recorded == emulated
    elif name in ("id", "call_id"):
        agree = form_of(recorded, ID_FORMS) == form_of(emulated, ID_FORMS)
    elif name == "content":
        agree = form_of(recorded, CONTENT_FORMS) == form_of(emulated, CONTENT_FORMS)
    elif name in ("created", "created_at", "completed_at"):
        agree = len(str(recorded)) == len(str(emulated))
    elif name in CACHED:
        agree = (recorded == 0) == (emulated == 0)
    elif name in ("prompt_tokens", "input_tokens"):
        agree = abs(recorded - emulated) <= max(1, TOKEN_TOLERANCE * recorded)
    elif name == "completion_tokens":
        agree = (recorded == 0) == (emulated == 0)
    if not agree:
        yield f"{place}: recorded {recorded!r}, emulated {emulated!r}"


def form_of(text: str, forms: tuple[str, ...]) -> str | None:
    return next((form for form in forms if re.fullmatch(form, text)), None)


if __name__ == "__main__":
    sys.exit(main())
