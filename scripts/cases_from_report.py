"""Cases for the emulator from what somebody saw: `python scripts/cases_from_report.py REPORT DIR`.

REPORT is a file that `quoth verify -o` wrote. Each plain chat exchange in it becomes `chat-FACT.json` in DIR, in the
form of a recording, which `scripts/compare_recorded.py DIR` holds against the emulator. What differs there is what the
emulator has to learn. With `--changed`, only the facts that have changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from quoth.verify import cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--changed", action="store_true", help="only the facts that have changed")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    if arguments.changed:
        report["facts"] = [fact for fact in report["facts"] if fact["verdict"] == "changed"]
    found = cases(report)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name, case in found.items():
        (arguments.directory / f"{name}.json").write_text(
            json.dumps(case, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
    print(f"{len(found)} cases in {arguments.directory}; scripts/compare_recorded.py holds them against the emulator.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
