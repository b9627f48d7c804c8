"""Make `src/quoth/providers/models.json` from a list of model facts.

Usage: python scripts/build_catalogue.py FACTS.json [RECORDED.json]

FACTS.json is a list of rows, each with the fields of `quoth.providers.catalogue.ModelFacts` and a `source` sentence
with a date in it. RECORDED.json is the answer of `GET /v1/models` that rows say they are taken from: where such a row
has another price, the recording is right, for it is the source. The shipped file says each source once, keeps one row a
line so that diffs can be read, and drops empty fields.
"""

from __future__ import annotations

import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/quoth/providers/models.json"
RECORDED = "recorded GET /v1/models"
KEEP = (
    "id",
    "display_name",
    "owned_by",
    "input_modalities",
    "output_modalities",
    "context_window",
    "max_output_tokens",
    "price",
    "supported_features",
    "supported_endpoints",
    "reasoning",
    "created_ms",
    "parameters",
    "status",
)


def source_of(row: dict[str, Any]) -> dict[str, str]:
    text = row["source"]
    day = re.search(r"\d{4}-\d{2}-\d{2}", text)
    if "recorded live" in text:
        return {"name": RECORDED, "date": day.group() if day else ""}
    if "models.dev providers" in text:
        return {"name": "models.dev, provider poe", "date": day.group() if day else ""}
    if "models.dev PR" in text:
        return {"name": "models.dev pull request 4790", "date": day.group() if day else ""}
    return {"name": "third-party audit", "date": "2026-04-13"}


def recorded_prices(recorded: Path | None) -> dict[str, dict[str, str] | None]:
    """The prices of a recorded list by id, without the empty ones."""
    if recorded is None:
        return {}
    return {
        row["id"]: row["pricing"] and {name: price for name, price in row["pricing"].items() if price is not None}
        for row in json.loads(recorded.read_text())["data"]
    }


def main(facts: Path, recorded: Path | None = None) -> None:
    rows = json.loads(facts.read_text())
    prices = recorded_prices(recorded)
    sources: list[dict[str, str]] = []
    lines = []
    for row in rows:
        source = source_of(row)
        if source not in sources:
            sources.append(source)
        if source["name"] == RECORDED and row["id"] in prices and row["price"] != prices[row["id"]]:
            print(f"{row['id']}: {row['price']} in the facts, {prices[row['id']]} in the recording, which is taken")
            row["price"] = prices[row["id"]]
        if row["price"]:
            # As Poe writes them: decimals without an exponent.
            row["price"] = {name: format(Decimal(value), "f") for name, value in row["price"].items() if value}
        kept = {key: row[key] for key in KEEP if row.get(key) not in (None, [], {})}
        for key in ("supported_endpoints", "parameters", "supported_features"):
            # An empty list is a fact ("declares none"); an absent one is not known.
            if row.get(key) == []:
                kept[key] = []
        kept["source"] = sources.index(source)
        lines.append(json.dumps(kept, separators=(",", ":"), ensure_ascii=False))
    TARGET.write_text('{"sources":' + json.dumps(sources) + ',\n"models":[\n' + ",\n".join(lines) + "\n]}\n")
    print(f"{TARGET}: {len(rows)} models, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
