"""What every fault is judged by, once a run is over: E1–E5, E7–E10 and E12 of the catalogue.

The bill is the provider's own, the rows are the ledger's, and what clients saw is what they got byte for byte. Prices
stand here once more, in nano-dollars per token.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct

CANARY = "sk-canary-1f7e52c09d3a4b68"
"""The key that the gateway has for the provider: it must be seen nowhere else."""

INPUT_NANOUSD, OUTPUT_NANOUSD = 1_000, 2_000
_END = b"[DONE]"
RETRIES, FLOOR = 0.10, 3
GRACE_S = 0.25


class Bill(Struct, frozen=True, kw_only=True):
    """A line of the provider's bill."""

    attempt_id: str
    model: str
    input: int
    output: int
    status: int

    @property
    def cost_nanousd(self) -> int:
        """What the provider takes for it."""
        return self.input * INPUT_NANOUSD + self.output * OUTPUT_NANOUSD


class Row(Struct, frozen=True, kw_only=True):
    """An event of the ledger."""

    attempt_id: str
    request_id: str
    kind: str
    model: str
    deployment: str
    outcome: str | None
    served_model: str | None
    cost_nanousd: int | None
    is_estimated: int | None
    input: int | None
    output: int | None


class Books(Struct, frozen=True, kw_only=True):
    """Both sides, when all is quiet."""

    bill: list[Bill]
    rows: list[Row]
    open_holds: int
    requests: int


class Seen(Struct, frozen=True, kw_only=True, dict=True):
    """What a client got."""

    nonce: str
    text_due: str
    is_stream: bool
    status: int
    headers: dict[str, str]
    body: bytes
    """Of a large one, the end."""
    size: int
    is_cut: bool
    """The connection broke before the body's proper end."""
    seconds: float

    @cached_property
    def events(self) -> list[Any]:
        """The bodies of a stream's events, but for the end mark; of one that cannot be read, None."""
        return [_parsed(data) for data in self._data if data != _END]

    @property
    def is_done(self) -> bool:
        """The stream has its end mark."""
        return _END in self._data

    @cached_property
    def _data(self) -> list[bytes]:
        """The data of each event, as a reader of event streams sees it."""
        found: list[list[bytes]] = [[]]
        for line in self.body.removeprefix(b"\xef\xbb\xbf").splitlines():
            if not line:
                found.append([])
            elif line.startswith(b"data:"):
                found[-1].append(line[5:].removeprefix(b" "))
        return [b"\n".join(lines) for lines in found if lines]

    @property
    def text(self) -> str:
        """What was said."""
        bodies = self.events if self.is_stream else [_parsed(self.body)]
        choices = [choice for body in bodies if isinstance(body, dict) for choice in body.get("choices") or ()]
        parts = [choice.get("delta") or choice.get("message") or {} for choice in choices]
        return "".join(part.get("content") or "" for part in parts)

    @property
    def error(self) -> dict[str, Any] | None:
        """The error that the answer is, or ends in."""
        body = _parsed(self.body) if self.status >= 300 or not self.is_stream else (self.events or [None])[-1]
        return body["error"] if isinstance(body, dict) and "error" in body else None

    @property
    def code(self) -> Any:
        """The error's; of all attempts together, the last one's."""
        error = self.error or {}
        attempts = error.get("attempts") or [error]
        return attempts[-1].get("code")

    @property
    def request_id(self) -> str:
        """By which the ledger knows it."""
        return self.headers.get("x-routewright-request-id", "")

    @property
    def is_complete(self) -> bool:
        """It claims to be all that was to come."""
        return self.status == 200 and not self.is_cut and (self.is_done if self.is_stream else self.error is None)


def check_all(books: Books, seen: Sequence[Seen], *, deadline_s: float, most_attempts: int | None) -> None:
    """All of them. Raises AssertionError that begins with the oracle's name."""
    check_books(books)
    check_attempts(books, most_attempts)
    for answer in seen:
        check_answer(answer, deadline_s)


def check_books(books: Books) -> None:
    """E1 nothing lost, E2 nothing invented, E3 nothing twice, E4 no wrong cost, E5 nothing left open."""
    closed = {row.attempt_id: row for row in books.rows if row.kind != "reserved"}
    billed = {line.attempt_id: line for line in books.bill}
    lost = [line for line in books.bill if line.attempt_id not in closed]
    assert not lost, f"E1: on the bill and not in the ledger: {lost}"
    invented = [row for row in closed.values() if row.kind == "settled" and row.attempt_id not in billed]
    invented = [row for row in invented if not row.is_estimated]
    assert not invented, f"E2: in the ledger and not on the bill: {invented}"
    twice = [key for key, times in Counter((row.attempt_id, row.kind) for row in books.rows).items() if times > 1]
    assert not twice, f"E3: twice in the ledger: {twice}"
    assert len(billed) == len(books.bill), "E3: the provider worked twice on one attempt"
    for line in books.bill:
        _check_cost(line, closed[line.attempt_id])
    kinds = defaultdict(set)
    for row in books.rows:
        kinds[row.attempt_id].add(row.kind)
    pending = [attempt for attempt, found in kinds.items() if len(found) != 2 or "reserved" not in found]
    assert not pending, f"E5: held and never closed, closed twice, or closed and never held: {pending}"
    assert books.open_holds == 0, "E5: holds are open"


def _check_cost(line: Bill, row: Row) -> None:
    cost = row.cost_nanousd or 0
    if row.is_estimated:
        assert cost >= line.cost_nanousd, f"E4: the estimate is below the bill: {row}, {line}"
    else:
        assert cost == line.cost_nanousd, f"E4: {row} costs {line}"


def check_attempts(books: Books, most_attempts: int | None) -> None:
    """E7: faults are not multiplied."""
    attempts = sum(row.kind == "reserved" for row in books.rows)
    most = int((1 + RETRIES) * books.requests + FLOOR) if most_attempts is None else most_attempts
    assert attempts <= most, f"E7: {attempts} attempts for {books.requests} requests"


def check_answer(seen: Seen, deadline_s: float) -> None:
    """E8 in time, E9 complete or openly not, E10 without our key, E12 an answer to this question."""
    assert seen.seconds <= deadline_s + GRACE_S, f"E8: took {seen.seconds:.2f} s"
    assert CANARY.encode() not in seen.body, "E10: the provider's key is in the answer"
    assert all(CANARY not in value for value in seen.headers.values()), "E10: the provider's key is in a header"
    assert not seen.is_cut, "E9: the client's own connection broke"
    if seen.is_complete:
        assert seen.text.split(" ")[0] == seen.nonce, "E12: the answer to another question"
        assert seen.text == seen.text_due, f"E9: presented as complete: {seen.text!r}"
        return
    error = seen.error
    assert error is not None, f"E9: neither complete nor an error: {seen.status} {seen.body[-300:]!r}"
    assert not seen.is_done, "E9: an error and an end mark"
    assert {"message", "type", "param", "code"} <= set(error), f"error body: {error}"
    assert isinstance(error["message"], str)
    assert isinstance(error["code"], str)
    if seen.status != 200:
        assert seen.headers["content-type"] == "application/json"


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
