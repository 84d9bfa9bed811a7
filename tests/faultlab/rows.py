"""The catalogue of faults, a line for each row, and the tests that have its id in their names: figure F1.

python tests/faultlab/rows.py      prints the table, with how many tests each row has
"""

import ast
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
_ID = re.compile(r"(?<=_)([ckmrstux]\d\d)(?=_)")

ROWS: Mapping[str, str] = {
    # providers
    "U01": "a connection is refused",
    "U02": "a name does not exist, or its server is late or dumb",
    "U03": "a certificate is expired, another host's, or self-signed",
    "U04": "silence before the head",
    "U05": "silence before the first word",
    "U06": "a stream hangs after some words",
    "U07": "a body of single bytes",
    "U08": "a stream is cut at any byte",
    "U09": "a stream is reset",
    "U10": "429 with a pause",
    "U11": "pauses in every form, and what is none",
    "U12": "500, 502, 503, 504, 529, 520–524",
    "U13": "400, 401, 403, 404, 413, 422",
    "U14": "an error within a 200",
    "U15": "JSON that is cut off",
    "U16": "events malformed in legal and illegal ways",
    "U17": "usage that is missing, zero, negative, absurd, late or repeated",
    "U18": "a web page with 200",
    "U19": "an endless answer",
    "U20": "a decompression bomb",
    "U21": "a kept connection that is closed or reset when it is used again",
    "U22": "a redirect to somebody else",
    "U23": "ambiguous heads, and headers with more in them",
    "U24": "another model answers, with fields and orders of its own",
    "U25": "a brown-out: one of three is ten times slower, or fails three times of ten",
    "U26": "flapping: five seconds up, five down",
    "U27": "all are down for a minute",
    # clients
    "C01": "leaves before the head",
    "C02": "leaves amid a stream",
    "C03": "reads slowly, or not at all",
    "C04": "sends slowly, or is idle, in thousands",
    "C05": "a body without end, or with a length that lies",
    "C06": "JSON that is too deep or too wide",
    "C07": "what is not JSON in UTF-8",
    "C08": "keys that stand twice",
    "C09": "fields of a wrong kind, and unknown ones",
    "C10": "request smuggling",
    "C11": "no key, or two, or in the wrong place",
    "C12": "wrong, revoked and expired keys, and what is made up",
    "C13": "forged ids and headers",
    "C14": "the same idempotency key",
    "C15": "a model that does not exist, or is not allowed",
    "C16": "a deadline too short for any attempt",
    # storage
    "S01": "the disk is full",
    "S02": "the database is locked",
    "S03": "a sync fails",
    "S04": "kill -9 at any instant",
    "S05": "a power cut",
    "S06": "PostgreSQL is stopped, or dies",
    "S07": "the connection dies between a commit and its answer",
    "S08": "deadlocks, serialization failures, too many clients",
    "S09": "Redis is refused, black-holed, slow, or empty",
    "S10": "two replicas see two Redis",
    "S11": "a schema older or newer than the code, or half migrated",
    "S12": "prices change between hold and settlement",
    # settings
    "K01": "wrong settings on reload",
    "K02": "settings that take for ever to read",
    "K03": "fallbacks in circles, aliases in circles, chains of fifty",
    "K04": "prices that cannot be, and none",
    "K05": "the key of one provider is missing",
    "K06": "a thousand reloads under load",
    # time
    "T01": "the wall clock is set, summer time, a leap second",
    "T02": "the event loop stands still",
    # process
    "R01": "SIGTERM while streams run",
    "R02": "a second signal",
    "R03": "kill -9 of one of several",
    "R04": "no files, memory or threads left",
    "R05": "started twice, forked, imported by several threads",
    # money
    "M01": "a thousand at once against a budget for ten",
    "M02": "nested budgets, and their resets",
    "M03": "fallbacks, hedges and retries, each with its own hold",
    "M04": "an answer dearer than its hold",
    "M05": "a batch that is killed and resumed",
    "M06": "one key floods",
    "M07": "shadow traffic while a budget is tight",
    # attacks
    "X01": "a request names a destination",
    "X02": "a request wants something fetched",
    "X03": "paths and ids that lead elsewhere",
    "X04": "SQL in names",
    "X05": "code through data",
    "X06": "references to secrets sent by a client",
    "X07": "a caller sets what is not the caller's",
    "X08": "an address without a door",
    "X09": "another caller's objects",
    "X10": "another caller's answers",
    "X11": "names that are markup, formulas or control characters",
    "X12": "a web page of somebody else on loopback",
    "X13": "patterns that take for ever",
    "X14": "secrets in anything that is said or written",
    "X15": "what an answer tells about keys",
    "X16": "attributes that are merged",
    "X17": "a poisoned release",
}


def by_row(folder: Path = TESTS) -> Mapping[str, Sequence[str]]:
    """Row → the tests that name it, as pytest is given them: `tests/faultlab/test_u02_names.py::test_u02_…`."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for name in _functions(path):
            for row in _ID.findall(name):
                found[row.upper()].append(f"{path.relative_to(folder.parent)}::{name}")
    return found


def missing(folder: Path = TESTS) -> list[str]:
    """Rows that have no test."""
    found = by_row(folder)
    return [row for row in ROWS if row not in found]


@cache  # several tests ask, each of all files
def _functions(path: Path) -> Sequence[str]:
    return [
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def table(folder: Path = TESTS) -> str:
    """F1 in Markdown."""
    found = by_row(folder)
    lines = ["| row | fault | tests |", "|---|---|---|"]
    for row, told in ROWS.items():
        lines.append(f"| {row} | {told} | {len(found.get(row, ())) or 'none'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201 - it is what this is for
