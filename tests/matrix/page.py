"""The matrix as it stands in `docs/compatibility.md`."""

from collections.abc import Iterator
from pathlib import Path

from matrix.desk import FACES, PROVIDERS
from matrix.scenarios import SCENARIOS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
_CLIENTS = {
    "openai_chat": "Clients of `/v1/chat/completions`",
    "openai_responses": "Clients of `/v1/responses`",
    "anthropic_messages": "Clients of `/v1/messages`",
}


def tables() -> str:
    """A table for each face: a row for each scenario, a column for each dialect of providers."""
    return "\n".join(line for face in FACES for line in _table(face))


def _table(face: str) -> Iterator[str]:
    yield f"### {_CLIENTS[face]}\n"
    yield "| scenario | " + " | ".join(f"to `{upstream}`" for upstream in PROVIDERS) + " |"
    yield "|---" * (1 + len(PROVIDERS)) + "|"
    for row in SCENARIOS:
        cells = (row.expected(face, upstream, FACES[face].lacks) for upstream in PROVIDERS)
        yield f"| {row.title} | {' | '.join(cells)} |"
    yield ""
