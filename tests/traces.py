"""Sessions of agents as tests write them down: what was said, called and given back, one line each.

    user: make the tests pass
    Bash pytest -q -> !1 failed
    Edit app.py return 1 -> updated

A step is a tool, its file or command, and after `->` what it gave back; `!` marks an error, as Anthropic's clients do.
"""

import json
from collections.abc import Iterator

from routewright.call import Message, Text, ToolCall, ToolResult


def trace(text: str) -> tuple[Message, ...]:
    """The conversation of these lines."""
    return tuple(_messages(line.strip() for line in text.strip().splitlines()))


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    for number, line in enumerate(lines):
        role, colon, said = line.partition(": ")
        if colon and role == "user":
            yield Message("user", (Text(said),))
        elif colon and role == "assistant":
            yield Message("assistant", (Text(said),))
        else:
            called, _, given = line.partition(" -> ")
            name, _, about = called.partition(" ")
            yield Message("assistant", (ToolCall(f"call_{number}", name, _arguments(name, about)),))
            text = given.removeprefix("!").replace("\\n", "\n")
            yield Message("user", (ToolResult(f"call_{number}", text, is_error=given.startswith("!")),))


def _arguments(name: str, about: str) -> str:
    if name in ("Bash", "exec_command"):
        return json.dumps({"command": about})
    place, _, change = about.partition(" ")
    return json.dumps({"file_path": f"/repo/{place}", "new_string": change})


SMOOTH = """
user: Rename the class Basket to Cart everywhere in the package and its tests
Grep Basket -> src/basket.py\\nsrc/checkout.py\\nsrc/api.py\\ntests/test_basket.py
Read src/basket.py -> class Basket:\\n    # raises an Error: see Traceback (most recent call last) in the docs
Edit src/basket.py class Cart: -> updated
Read src/checkout.py -> from basket import Basket
Edit src/checkout.py from basket import Cart -> updated
Edit src/checkout.py Cart() -> updated
Read src/api.py -> basket = Basket()
Edit src/api.py basket = Cart() -> updated
Bash git status --short -> M src/basket.py
Read tests/test_basket.py -> def test_basket(): Basket()
Edit tests/test_basket.py Cart() -> updated
Grep Basket -> docs/index.md
Read docs/index.md -> A Basket holds articles
Edit docs/index.md A Cart holds articles -> updated
"""
"""A refactoring in which nothing goes wrong."""

FAILING_TESTS = """
user: Make the failing test pass
Read src/parser.py -> def parse(text): ...
Bash pytest -q tests/test_parser.py -> E       AssertionError: assert 3 == 4\\n1 failed, 7 passed in 0.31s
Edit src/parser.py depth += 1 -> updated
Bash pytest -q tests/test_parser.py -> E       AssertionError: assert 5 == 4\\n1 failed, 7 passed in 0.29s
Edit src/parser.py depth = 0 -> updated
Bash cd /repo && python -m pytest -q -> E       AssertionError: assert 2 == 4\\n1 failed, 7 passed in 0.30s
Edit src/parser.py depth -= 1 -> updated
Bash pytest -q tests/test_parser.py -> E       AssertionError: assert 3 == 4\\n1 failed, 7 passed in 0.33s
"""
"""The same test fails, whatever is tried."""

STUCK_EDIT = """
user: Fix the off-by-one in paginate()
Read src/pages.py -> def paginate(items): ...
Edit src/pages.py last = page * size -> !String to replace not found in file.
Read src/pages.py -> def paginate(items): ...
Edit src/pages.py last = page * size -> !String to replace not found in file.
Edit src/pages.py last = page * size -> !String to replace not found in file.
"""
"""The same edit again and again, and it is refused each time."""

RESOLVED = (
    FAILING_TESTS
    + """
Read src/tokens.py -> class Token: ...
Edit src/tokens.py depth: int = 1 -> updated
Bash pytest -q tests/test_parser.py -> 8 passed in 0.30s
"""
)
"""A failure that was mended."""

COMPLAINT = """
user: Make the export button work
Read src/export.py -> def export(): ...
Edit src/export.py return csv -> updated
assistant: The button exports CSV now.
user: {words}
"""
