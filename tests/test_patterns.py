"""Patterns from outside: bounded, linear, and refused with the place where they stand."""

import subprocess
import sys
import time

import pytest

from routewright.patterns import MOST_BYTES, PatternRefused, read_pattern


def search_s(pattern: str, length: int) -> float:
    """CPU seconds for a text that nearly matches everywhere; the least of some tries, since other work only adds."""
    search, text = read_pattern(pattern, "here"), "a" * length + "!"
    tries = []
    for _ in range(5):
        began = time.thread_time()
        assert not search(text)
        tries.append(time.thread_time() - began)
    return min(tries)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(a*)*b", "(?:a?){60}a{60}$"])
def test_x13_a_pattern_that_others_never_finish_takes_eight_times_as_long_for_eight_times_the_text(
    pattern: str,
) -> None:
    short_s, long_s = search_s(pattern, 50_000), search_s(pattern, 400_000)
    assert long_s < 4 * 8 * short_s, "twice the text would take four times as long, were it only quadratic"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a", "missing )"),
        ("a(?=b)", "no look-around"),
        (r"(a)\1", "no back-references"),
        ("(?!a)", "invalid perl operator"),
        ("^(?!a)b(c)", "unexpected )"),
        ("a" * (MOST_BYTES + 1), "over 1,024 bytes"),
        ("é" * 513, "over 1,024 bytes"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        (r"\pL{1000}", "too large"),
        ("\ud800", "no text in UTF-8"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_place_and_itself(
    pattern: str, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PatternRefused) as refused:
        read_pattern(pattern, "prices.acme.fast")
    message = str(refused.value)
    assert message.startswith(f"prices.acme.fast: the pattern {pattern[:80]!r}"[:90])
    assert why in message
    assert len(message) < 400
    assert capfd.readouterr() == ("", "")


def test_a_whole_pattern_may_say_what_a_text_does_not_begin_with() -> None:
    search = read_pattern("^(?!.*-tts(?:$|-))", "here")
    assert [search(name) for name in ("gpt-5", "gpt-tts", "gpt-tts-1", "gpt-ttsx")] == [True, False, False, True]


def test_any_text_can_be_looked_at() -> None:
    assert read_pattern("^a.b$", "here")("a\ud800b")
    assert read_pattern("", "here")("")


def test_re2_is_imported_only_when_there_is_a_pattern() -> None:
    program = (
        "import sys, routewright.cli.program, routewright.runtime; assert 're2' not in sys.modules;"
        "from routewright.patterns import read_pattern; read_pattern('a', 'here'); assert 're2' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
