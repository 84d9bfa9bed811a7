"""Made prompts and outcomes, few enough to train on while the tests run."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from routewright.catalog.registry import Tier

TABLE = "mmlu_pro"
"""The name of a table whose weak and strong model `routewright train` knows."""
WEAK, STRONG = "Meta-Llama-3.1-8B-Instruct", "gemini-1.5-pro-002"
ASKED: Mapping[str, tuple[Tier, str]] = {
    "translation": (Tier.BULK, "Translate this into {}: the {} is {}."),
    "design": (Tier.COMPLEX, "Design a {} architecture for a {} and weigh {} options."),
    "extraction": (Tier.STRUCTURED, "Extract {} and {} as JSON from this {} invoice."),
}
_WORDS = ("red", "blue", "green", "swift", "river", "mountain", "payment", "order", "lamp", "garden", "paper", "window")


def written_prompts(each: int = 25) -> list[dict[str, Any]]:
    """So many written prompts of each kind."""
    chance = random.Random(1)
    return [
        {"kind": kind, "tier": tier, "lang": "en", "ask": asked.format(*chance.sample(_WORDS, 3)) + f" ({number})"}
        for number in range(each)
        for kind, (tier, asked) in ASKED.items()
    ]


def table_rows(number: int = 40) -> list[dict[str, Any]]:
    """Questions of mathematics, which only the strong model answers, and of law, which both do."""
    chance = random.Random(2)
    rows = []
    for at in range(number):
        is_hard = at % 2 == 1
        asked = "Find the residue of the integral over" if is_hard else "Which statute governs the contract of"
        rows.append(
            {
                "prompt": f"{asked} {' '.join(chance.sample(_WORDS, 3))} {at}",
                "dataset": TABLE,
                "domain": "math" if is_hard else "law",
                f"s:{WEAK}": 0.0 if is_hard else 1.0,
                f"s:{STRONG}": 1.0,
                f"c:{STRONG}": 0.002,
                f"o:{STRONG}": 400.0,
            }
        )
    return rows


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    """One JSON object a line."""
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return path


def write_parquet(path: Path, records: list[dict[str, Any]]) -> Path:
    """As a parquet file."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    return path
