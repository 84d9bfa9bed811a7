import io
import sys

import click
import pytest

from routewright.cli.options import Within, read_prompt


def given(monkeypatch: pytest.MonkeyPatch, text: str, *, is_terminal: bool = False) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
    monkeypatch.setattr(stdin, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stdin", stdin)


def test_words_make_one_prompt_and_stdin_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "unread")
    assert read_prompt(("Why", "is the sky blue?")) == "Why is the sky blue?"
    assert sys.stdin.read() == "unread"


def test_stdin_is_the_prompt_when_there_are_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "from stdin\n")
    assert read_prompt(()) == "from stdin"


def test_dash_puts_stdin_after_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "line one\nline two\n")
    assert read_prompt(("Explain", "this:", "-")) == "Explain this:\n\nline one\nline two"


def test_nobody_is_made_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "", is_terminal=True)
    with pytest.raises(click.UsageError, match="no prompt"):
        read_prompt(())


def test_nothing_on_stdin_is_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "\n")
    with pytest.raises(click.UsageError, match="empty"):
        read_prompt(("-",))


def test_bytes_that_are_not_utf8_do_not_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9")))
    assert read_prompt(("-",)) == "caf\ufffd"


def test_nan_is_not_within_any_bounds() -> None:
    assert Within(0, 1).convert("0.5", None, None) == 0.5
    for text in ("nan", "2", "inf"):
        with pytest.raises(click.BadParameter):
            Within(0, 1).convert(text, None, None)
