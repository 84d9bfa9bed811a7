"""A text as a set of hashed features: one pass in numpy over the start and the end of it, about 40 µs for 1 KB.

Words, pairs of neighbouring words and runs of four bytes are hashed by one polynomial whose prefix sums give the hash
of any stretch of the text by a subtraction: `hash(s, e) = (P[e] - P[s]) · B⁻ˢ  (mod 2⁶⁴)`, so that nothing is done
word by word in Python. Only whether a feature is there counts, not how often: repeating a word changes nothing.

There are so many buckets that features seldom share one; an artefact knows the few thousand of them that tell most.
Folded to `FOLDED` buckets and kept as bits, the words are a *fingerprint* of some 300 bytes, which the ledger stores
beside an outcome: later learning needs nothing else of the text, and the text cannot be read out of it.
"""

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from routewright.decision.features import EDGE_CHARS

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
FOLDED = 2_048
"""Buckets of a fingerprint; on recorded outcomes as good as four times as many."""
RUN = 4
"""Bytes of a character feature; the commonest length in language identification and what did best on dev."""

Buckets = NDArray[np.int64]
Numbers = NDArray[np.float32]

_MOST_BYTES = 6 * 2 * EDGE_CHARS + 4  # a capital may be longer when it is small
"""Of `edges` in UTF-8, with the line between them and a blank at each end: no more is ever hashed."""
_BASE = 0x100000001B3  # FNV's prime: odd, so that it has an inverse modulo 2⁶⁴
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ / golden ratio (Knuth): spreads a product over the upper bits
_SHIFT = np.uint64(64 - BUCKET_BITS)
_PAIR = np.uint64(0x9E3779B1)
_ONE = np.uint64(1)


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(_MOST_BYTES + 1, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_POWERS = _powers(_BASE)
_MIXED_INVERSES = _powers(pow(_BASE, -1, 2**64)) * _MIX
"""`_MIX` is in them already: modulo 2⁶⁴ it does not matter when a product is multiplied."""

_LOWER = bytes(byte + 32 if 65 <= byte <= 90 else 32 if byte < 33 else byte for byte in range(256))
_IS_WORD = np.array([97 <= byte <= 122 or 48 <= byte <= 57 or byte == 95 or byte >= 128 for byte in range(256)])
_IS_ALONE = np.array([0xE3 <= byte <= 0xED for byte in range(256)])
"""First bytes of Han, kana and Hangul: written without blanks, so that each character is taken for a word."""


class _Class:
    """What a byte counts as; `bincount` over the classes gives all counts at once."""

    OTHER, LETTER, CAPITAL, DIGIT, BLANK, LINE, MATHS, CODE, QUESTION, PUNCTUATION, FOREIGN, QUOTE = range(12)
    SIZE = 12


def _classes() -> NDArray[np.intp]:
    table = np.full(256, _Class.OTHER, np.intp)  # as wide as `bincount` counts, so that it casts nothing
    for characters, kind in (
        ("abcdefghijklmnopqrstuvwxyz", _Class.LETTER),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _Class.CAPITAL),
        ("0123456789", _Class.DIGIT),
        (" \t", _Class.BLANK),
        ("\n", _Class.LINE),
        ("=+^\\$<>*/%|~", _Class.MATHS),
        ("{}()[];_#@&", _Class.CODE),
        ("?", _Class.QUESTION),
        (".,:!-", _Class.PUNCTUATION),
        ("\"'`", _Class.QUOTE),
    ):
        table[list(characters.encode())] = kind
    table[128:] = _Class.FOREIGN
    return table


_CLASS_OF = _classes()


class Sketch(Struct, frozen=True, eq=False):
    """What was seen of a text."""

    words: Buckets
    """Below `BUCKETS`, with repetitions: words and pairs of words."""
    runs: Buckets
    """Below `BUCKETS`, with repetitions: runs of bytes."""
    counts: Numbers
    """`COUNTS` numbers, each about between -1 and 1: length, digits, code, notation, questions, options, …"""


_LENGTH_STEPS = 9
_SHORTEST = 4
"""The first step of lengths is at 2⁴ characters."""
_NUMBER_STEPS = 6
_SHARES = (
    _Class.CAPITAL,
    _Class.DIGIT,
    _Class.MATHS,
    _Class.CODE,
    _Class.PUNCTUATION,
    _Class.FOREIGN,
    _Class.QUOTE,
    _Class.LINE,
)
"""Classes whose part of the text counts."""
COUNTS = _LENGTH_STEPS + _NUMBER_STEPS + len(_SHARES) + 4


def edges(text: str) -> str:
    """The start and the end of a text, all of a short one."""
    return text if len(text) <= 2 * EDGE_CHARS else f"{text[:EDGE_CHARS]}\n{text[-EDGE_CHARS:]}"


def sketch(text: str) -> Sketch:
    """Look at a text; any text will do, and the time is bounded."""
    text_edges = edges(text)
    data = text_edges.encode(errors="surrogatepass")
    is_ascii = text_edges.isascii()
    small = data if is_ascii else text_edges.lower().encode(errors="surrogatepass")
    words, runs = _buckets(np.frombuffer(b" " + small.translate(_LOWER) + b" ", np.uint8), is_ascii=is_ascii)
    return Sketch(words, runs, _counts(np.frombuffer(data, np.uint8), len(text)))


def _buckets(data: NDArray[np.uint8], *, is_ascii: bool) -> tuple[Buckets, Buckets]:
    size = len(data)
    prefixes = np.empty(size + 1, np.uint64)
    prefixes[0] = 0
    weighed = data.astype(np.uint64)
    weighed += _ONE
    weighed *= _POWERS[:size]
    np.add.accumulate(weighed, out=prefixes[1:])
    runs = prefixes[RUN:] - prefixes[:-RUN] if size >= RUN else prefixes[:0]
    runs *= _MIXED_INVERSES[: len(runs)]
    runs >>= _SHIFT
    return _word_buckets(prefixes, *_word_bounds(data, is_ascii=is_ascii)), runs.view(np.int64)


def _word_buckets(prefixes: NDArray[np.uint64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Buckets:
    """Of the words, then of each two that are neighbours."""
    count = len(starts)
    hashes = np.empty(max(2 * count - 1, 0), np.uint64)
    words, pairs = hashes[:count], hashes[count:]
    np.subtract(prefixes.take(ends), prefixes.take(starts), out=words)
    words *= _MIXED_INVERSES.take(starts)
    np.multiply(words[:-1], _PAIR, out=pairs)
    pairs += words[1:]
    hashes >>= _SHIFT
    return hashes.view(np.int64)


def _word_bounds(data: NDArray[np.uint8], *, is_ascii: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words start and end; a blank stands before and after them all."""
    is_word = _IS_WORD.take(data)
    if is_ascii:
        bounds = (is_word[1:] != is_word[:-1]).nonzero()[0]
        bounds += 1
        return bounds[0::2], bounds[1::2]
    is_alone = _IS_ALONE.take(data[1:])
    starts = (is_word[1:] & (is_alone | ~is_word[:-1])).nonzero()[0] + 1
    ends = (is_word[:-1] & (is_alone | ~is_word[1:])).nonzero()[0] + 1
    return starts, ends


def fold(words: Buckets) -> Buckets:
    """The buckets of a fingerprint, ascending, each once: words and pairs only, which predict as well as all."""
    return folded(words).nonzero()[0]


def folded(words: Buckets) -> NDArray[np.bool_]:
    """[FOLDED]: which of these buckets are there."""
    is_there = np.zeros(FOLDED, np.bool_)
    is_there[words & (FOLDED - 1)] = True
    return is_there


def _counts(data: NDArray[np.uint8], length: int) -> Numbers:
    classes = _CLASS_OF.take(data)
    by_class = np.bincount(classes, minlength=_Class.SIZE).tolist()
    questions, lines = by_class[_Class.QUESTION], by_class[_Class.LINE]
    size = math.log2(length + 1)
    per_byte = 5 / max(len(data), 1)
    numbers = _numbers(classes) if by_class[_Class.DIGIT] else 0
    return np.array(
        (
            *_ladder(_LENGTH_STEPS, size - _SHORTEST),
            *_ladder(_NUMBER_STEPS, math.log2(numbers + 1)),
            *[min(by_class[kind] * per_byte, 1) for kind in _SHARES],
            min(questions, 3) / 3,
            min(_options(classes), 10) / 10 if lines else 0,
            min(lines, 20) / 20,
            size / 12 - 1,
        ),
        np.float32,
    )


def _ladder(steps: int, height: float) -> list[float]:
    """A height as two neighbouring steps of a ladder, so that a linear model can bend over it."""
    ladder = [0.0] * steps
    below = math.floor(height)
    if 0 <= below < steps:
        ladder[below] = 1 - (height - below)
    if 0 <= below + 1 < steps:
        ladder[below + 1] = height - below
    return ladder


def _numbers(classes: NDArray[np.intp]) -> int:
    """Runs of digits."""
    is_digit = classes == _Class.DIGIT
    return int(np.count_nonzero(is_digit[1:] > is_digit[:-1])) + bool(is_digit[0])


def _options(classes: NDArray[np.intp]) -> int:
    """Lines that begin like `A.` or `B)`."""
    starts = (classes[:-2] == _Class.LINE).nonzero()[0]
    return int(np.count_nonzero((classes[starts + 1] == _Class.CAPITAL) & (classes[starts + 2] >= _Class.MATHS)))
