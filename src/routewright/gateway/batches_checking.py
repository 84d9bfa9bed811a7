"""What is wrong with a batch's file, line by line, before anything is asked: it then fails whole, as OpenAI's do."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from routewright.call import JsonObject
from routewright.dialects.strict_json import read_object
from routewright.errors import InvalidJson
from routewright.jobs.inputs import LONGEST_LINE
from routewright.jobs.lines import LONGEST_ID

MOST_PROBLEMS = 50
"""Told of one file."""


class Problem(Struct, frozen=True, kw_only=True):
    """Why a file cannot be used."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


def check(path: Path, endpoint: str) -> list[Problem]:
    """Why a file is no batch for this endpoint; empty if it is one. Raises OSError."""
    with path.open("rb") as file:
        return list(islice(_problems(file, endpoint), MOST_PROBLEMS))


def _problems(file: BinaryIO, endpoint: str) -> Iterator[Problem]:
    number = seen = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            yield Problem(code="line_too_long", message=f"the line has over {LONGEST_LINE:,} bytes", line=number)
            return
        if stripped := line.strip():
            seen += 1
            try:
                yield from _problems_of(read_object(stripped), endpoint, number)
            except InvalidJson as error:
                yield Problem(code="invalid_json_line", message=error.message, line=number)
    if not seen:
        yield Problem(code="empty_file", message="the file has no requests", param="input_file_id")


def _problems_of(fields: JsonObject, endpoint: str, number: int) -> Iterator[Problem]:
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= LONGEST_ID:
        yield _wrong("custom_id", f"a text of 1 to {LONGEST_ID} characters", number)
    if fields.get("method") != "POST":
        yield _wrong("method", '"POST"', number)
    if fields.get("url") != endpoint:
        yield _wrong("url", f'the endpoint of the batch, "{endpoint}"', number, code="mismatched_endpoint")
    body = fields.get("body")
    if not isinstance(body, dict):
        yield _wrong("body", "an object", number)
    elif body.get("stream"):
        yield _wrong("body.stream", "left out: an answer in a file is not streamed", number)


def _wrong(param: str, expected: str, number: int, code: str = "invalid_request") -> Problem:
    return Problem(code=code, message=f"{param} must be {expected}", param=param, line=number)
