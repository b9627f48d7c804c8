"""`python -m bench`: measure, print the tables, write dist/bench.json. `make bench` adds the peers' environment."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import size
from bench.measures import SUBJECTS, WORKS
from bench.report import document, load, machine, tables
from bench.run import interpreters, measure, version_of

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of fewer calls: under two minutes")
    parser.add_argument("--rounds", type=int, help="how often each figure is taken (5; with --quick 2)")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS), help="only these kinds of work")
    parser.add_argument("--who", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="only these subjects")
    parser.add_argument("--no-size", action="store_true", help="leave out the sizes of installations")
    parser.add_argument("--json", type=Path, default=Path("dist/bench.json"), help="where to write (dist/bench.json)")
    parser.add_argument("--doc", type=Path, help="put the tables between the bench marks of this Markdown file")
    options = parser.parse_args()

    about, pythons = machine(), interpreters()
    if pythons[True] is None:
        say("QUOTH_BENCH_PEERS names no Python, so LiteLLM and aiohttp are left out: `make bench` sets them up.")
    if (about["load_before"] or 0) > 0.5:
        say(f"This machine is busy (load {about['load_before']}): expect a wide spread and high figures.")
    rounds = options.rounds or (2 if options.quick else 5)
    results = measure(options.work, options.who, rounds=rounds, quick=options.quick, progress=say)
    about["load_after"] = load()
    versions = {
        name: version_of(str(python), subject.package)
        for name, subject in SUBJECTS.items()
        if name in options.who and (python := pythons[subject.peers]) is not None
    }
    sizes = {} if options.no_size else _sizes(pythons[True])
    found = document(results, sizes, about, versions)
    text = tables(found)
    print(text)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    say(f"\nEvery figure of every round: {options.json}")
    if options.doc is not None:
        before, _, rest = options.doc.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        options.doc.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")
    return 0


def _sizes(peers: str | None) -> dict[str, dict[str, float]]:
    found = {}
    say("installing the SDK into an environment of its own, for its size")
    try:
        found["Quoth, SDK"] = size.sdk()
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"the size of the SDK was not measured: {error}")
    if peers is not None:
        found["LiteLLM, SDK (openai and aiohttp included)"] = size.installed(peers)
    return found


if __name__ == "__main__":
    sys.exit(main())
