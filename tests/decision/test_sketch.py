import hashlib
import math
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routewright.decision.features import EDGE_CHARS
from routewright.decision.sketch import BUCKETS, COUNTS, FOLDED, RUN, edges, sketch

TEXTS = st.text(st.characters(exclude_categories=()), max_size=3_000)
"""Of any characters, surrogates without their partners among them."""
FIXED = "Translate “Hello, World” to French: 1 + 1 = 2?\nA) übersetzen 翻訳"
HELLO = ([45978], [121352, 221739, 104637, 224998])
FIXED_BUCKETS = 94
FIXED_HASH = "8db2a11a917fc340"


def words(text: str) -> set[int]:
    """The buckets of words and pairs."""
    return set(sketch(text).words)


def features(text: str) -> set[int]:
    """Those, and the buckets of runs of bytes, told apart by their sign."""
    return words(text) | {-1 - bucket for bucket in sketch(text).runs}


# ---- the hash: every artefact and every fingerprint in a ledger was made with it ------------------------------------


def test_hash_is_the_one_that_artefacts_and_ledgers_know() -> None:
    hello = sketch("Hello")
    assert (hello.words, hello.runs) == HELLO
    found = sketch(FIXED)
    buckets = [*found.words, *found.runs]
    assert len(buckets) == FIXED_BUCKETS
    assert hashlib.sha256(struct.pack(f"<{len(buckets)}q", *buckets)).hexdigest().startswith(FIXED_HASH)


def test_counts_are_the_ones_that_artefacts_and_ledgers_know() -> None:
    length_ladder, number_ladder = [0, 0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]
    shares = [number * 5 / 72 for number in (5, 3, 2, 1, 2, 14, 0, 1)]
    questions, options, lines, length = 1 / 3, 1 / 10, 1 / 20, -0.5
    assert sketch(FIXED).counts == pytest.approx(
        [*length_ladder, *number_ladder, *shares, questions, options, lines, length], abs=1e-6
    )


def test_same_text_gives_the_same_sketch() -> None:
    once, again = sketch(FIXED), sketch(FIXED)
    assert (once.words, once.runs, once.counts) == (again.words, again.runs, again.counts)


# ---- any text -------------------------------------------------------------------------------------------------------


@given(TEXTS)
@example("")
@example(" ")
@example("\ud800")
@example("\udfff\ud800 \udc00")
@example("\x00\x01\x7f\xff")
@example("abc")
@settings(deadline=None)
def test_any_text_has_a_sketch_of_the_promised_form(text: str) -> None:
    seen = sketch(text)
    for buckets in (seen.words, seen.runs):
        assert all(0 <= bucket < BUCKETS for bucket in buckets)
    assert len(seen.words) + len(seen.runs) <= 3 * 4 * 2 * EDGE_CHARS
    assert len(seen.counts) == COUNTS
    assert max(map(abs, seen.counts)) <= 1


def test_text_of_nothing_has_no_features() -> None:
    for text in ("", "\x00", "\n"):
        assert not words(text)
    assert not features("")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "ab " * 333_333,
        "\n" * 1_000_000,
        "翻" * 1_000_000,
        "\U0001f600" * 1_000_000,
        "\ud800" * 1_000_000,
        bytes(range(256)).decode("latin-1") * 4_000,
    ],
    ids=["one letter", "one word", "lines", "Han", "emoji", "surrogates", "binary"],
)
def test_megabyte_of_repetition_has_few_features(text: str) -> None:
    seen = sketch(text)
    assert len(features(text)) <= 1_000
    assert seen.counts[-1] == pytest.approx(math.log2(len(text) + 1) / 12 - 1)
    assert len(edges(text)) == 2 * EDGE_CHARS + 1


@given(TEXTS, st.integers(0, 500))
@settings(deadline=None)
def test_bytes_that_are_hashed_are_bounded_whatever_the_length(text: str, times: int) -> None:
    hashed = edges(text * times).encode(errors="surrogatepass")
    assert len(hashed) <= 4 * 2 * EDGE_CHARS + 1


def test_of_a_long_text_only_the_edges_are_seen() -> None:
    start, end = "Translate this report. " * 60, "\nUse plain words. " * 80
    text, other = (start + middle * 9_000 + end for middle in ("alpha ", "omega "))
    assert features(text) == features(other)
    assert words("translate") | words("plain") <= words(text)
    assert not words("alpha") & words(text)


# ---- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["Translate", "TRANSLATE", "(translate)", "«x» translate, please", "say:translate!", "\ttranslate\r\n"]
)
def test_word_is_found_whatever_its_case_and_punctuation(text: str) -> None:
    assert words("translate") <= words(text)


def test_word_within_a_word_is_another_word() -> None:
    assert not words("late") & words("translate")
    assert not words("translate") & words("translate2 translate_it")


@pytest.mark.parametrize("text", ["переведи", "ترجم", "अनुवाद", "übersetze", "μετάφρασε", "תרגם", "แปล"])
def test_words_of_any_script_are_found(text: str) -> None:
    assert len(words(text)) == 1
    assert words(text) <= words(f"1. {text}: x")


def test_pair_of_neighbours_is_a_feature_in_its_order() -> None:
    pair = words("design database") - words("design") - words("database")
    assert len(pair) == 1
    assert pair <= words("Now DESIGN (database) it")
    assert not pair & words("database design")
    assert not pair & words("design a database")


@pytest.mark.parametrize("text", ["翻訳", "ほん", "번역"])
def test_characters_of_scripts_without_blanks_are_words(text: str) -> None:
    assert words(text[0]) | words(text[1]) < words(text)
    assert words(text) <= words(f"{text}して")


def test_run_of_bytes_is_found_anywhere() -> None:
    run = {index for index in features("slate") if index < 0}
    assert run & {index for index in features("translate") if index < 0}
    assert len({index for index in features("abcdefgh") if index < 0}) == len(" abcdefgh ") - RUN + 1


@given(st.lists(st.sampled_from(["translate", "design", "proof", "invoice", "table"]), min_size=1, max_size=8))
def test_repeating_a_text_adds_no_word(chosen: list[str]) -> None:
    text = " ".join(chosen)
    joint = words(f"{chosen[-1]} {chosen[0]}")
    assert words(f"{text}\n{text} {text}") == words(text) | joint


def test_folded_buckets_are_a_power_of_two_below_those_of_words() -> None:
    assert FOLDED & (FOLDED - 1) == 0
    assert BUCKETS % FOLDED == 0
