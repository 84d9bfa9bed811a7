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

MOST_BYTES = 6 * 2 * EDGE_CHARS + 4  # a capital may be longer when it is small
"""Of `edges` in UTF-8, with the line between them and a blank at each end: no more is ever hashed."""
BASE = 0x100000001B3  # FNV's prime: odd, so that it has an inverse modulo 2⁶⁴
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ / golden ratio (Knuth): spreads a product over the upper bits
SHIFT = np.uint64(64 - BUCKET_BITS)
PAIR = np.uint64(0x9E3779B1)
_ONE = np.uint64(1)


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(MOST_BYTES + 1, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_POWERS = _powers(BASE)
_MIXED_INVERSES = _powers(pow(BASE, -1, 2**64)) * MIX
"""`MIX` is in them already: modulo 2⁶⁴ it does not matter when a product is multiplied."""

LOWER = bytes(byte + 32 if 65 <= byte <= 90 else 32 if byte < 33 else byte for byte in range(256))
IS_WORD = np.array([97 <= byte <= 122 or 48 <= byte <= 57 or byte == 95 or byte >= 128 for byte in range(256)])
IS_ALONE = np.array([0xE3 <= byte <= 0xED for byte in range(256)])
"""First bytes of Han, kana and Hangul: written without blanks, so that each character is taken for a word."""


class ByteClass:
    """What a byte counts as; `bincount` over the classes gives all counts at once."""

    OTHER, LETTER, CAPITAL, DIGIT, BLANK, LINE, MATHS, CODE, QUESTION, PUNCTUATION, FOREIGN, QUOTE = range(12)
    SIZE = 12


def _classes() -> NDArray[np.intp]:
    table = np.full(256, ByteClass.OTHER, np.intp)  # as wide as `bincount` counts, so that it casts nothing
    for characters, kind in (
        ("abcdefghijklmnopqrstuvwxyz", ByteClass.LETTER),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", ByteClass.CAPITAL),
        ("0123456789", ByteClass.DIGIT),
        (" \t", ByteClass.BLANK),
        ("\n", ByteClass.LINE),
        ("=+^\\$<>*/%|~", ByteClass.MATHS),
        ("{}()[];_#@&", ByteClass.CODE),
        ("?", ByteClass.QUESTION),
        (".,:!-", ByteClass.PUNCTUATION),
        ("\"'`", ByteClass.QUOTE),
    ):
        table[list(characters.encode())] = kind
    table[128:] = ByteClass.FOREIGN
    return table


CLASS_OF = _classes()


class Sketch(Struct, frozen=True, eq=False):
    """What was seen of a text."""

    words: Buckets
    """Below `BUCKETS`, with repetitions: words and pairs of words."""
    runs: Buckets
    """Below `BUCKETS`, with repetitions: runs of bytes."""
    counts: Numbers
    """`COUNTS` numbers, each about between -1 and 1: length, digits, code, notation, questions, options, …"""


LENGTH_STEPS = 9
SHORTEST = 4
"""The first step of lengths is at 2⁴ characters."""
NUMBER_STEPS = 6
SHARES = (
    ByteClass.CAPITAL,
    ByteClass.DIGIT,
    ByteClass.MATHS,
    ByteClass.CODE,
    ByteClass.PUNCTUATION,
    ByteClass.FOREIGN,
    ByteClass.QUOTE,
    ByteClass.LINE,
)
"""Classes whose part of the text counts."""
COUNTS = LENGTH_STEPS + NUMBER_STEPS + len(SHARES) + 4
COUNT_STEP = 1 / 64
"""In a fingerprint counts are kept as bytes, in these steps."""
FINGERPRINT_BYTES = FOLDED // 8 + COUNTS


def edges(text: str) -> str:
    """The start and the end of a text, all of a short one."""
    return text if len(text) <= 2 * EDGE_CHARS else f"{text[:EDGE_CHARS]}\n{text[-EDGE_CHARS:]}"


def sketch(text: str) -> Sketch:
    """Look at a text; any text will do, and the time is bounded."""
    text_edges = edges(text)
    data = text_edges.encode(errors="surrogatepass")
    is_ascii = text_edges.isascii()
    small = data if is_ascii else text_edges.lower().encode(errors="surrogatepass")
    words, runs = _buckets(np.frombuffer(b" " + small.translate(LOWER) + b" ", np.uint8), is_ascii=is_ascii)
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
    runs >>= SHIFT
    return _word_buckets(prefixes, *_word_bounds(data, is_ascii=is_ascii)), runs.view(np.int64)


def _word_buckets(prefixes: NDArray[np.uint64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Buckets:
    """Of the words, then of each two that are neighbours."""
    count = len(starts)
    hashes = np.empty(max(2 * count - 1, 0), np.uint64)
    words, pairs = hashes[:count], hashes[count:]
    np.subtract(prefixes.take(ends), prefixes.take(starts), out=words)
    words *= _MIXED_INVERSES.take(starts)
    np.multiply(words[:-1], PAIR, out=pairs)
    pairs += words[1:]
    hashes >>= SHIFT
    return hashes.view(np.int64)


def _word_bounds(data: NDArray[np.uint8], *, is_ascii: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words start and end; a blank stands before and after them all."""
    is_word = IS_WORD.take(data)
    if is_ascii:
        bounds = (is_word[1:] != is_word[:-1]).nonzero()[0]
        bounds += 1
        return bounds[0::2], bounds[1::2]
    is_alone = IS_ALONE.take(data[1:])
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


def fingerprint(seen: Sketch) -> bytes:
    """A sketch in some 300 bytes: one bit for each folded bucket, then the counts."""
    counts = np.rint(seen.counts * (1 / COUNT_STEP)).astype(np.int8)
    return bytes(np.packbits(folded(seen.words))) + bytes(counts)


def _counts(data: NDArray[np.uint8], length: int) -> Numbers:
    classes = CLASS_OF.take(data)
    by_class = np.bincount(classes, minlength=ByteClass.SIZE).tolist()
    questions, lines = by_class[ByteClass.QUESTION], by_class[ByteClass.LINE]
    size = math.log2(length + 1)
    per_byte = 5 / max(len(data), 1)
    numbers = _numbers(classes) if by_class[ByteClass.DIGIT] else 0
    return np.array(
        (
            *_ladder(LENGTH_STEPS, size - SHORTEST),
            *_ladder(NUMBER_STEPS, math.log2(numbers + 1)),
            *[min(by_class[kind] * per_byte, 1) for kind in SHARES],
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
    is_digit = classes == ByteClass.DIGIT
    return int(np.count_nonzero(is_digit[1:] > is_digit[:-1])) + bool(is_digit[0])


def _options(classes: NDArray[np.intp]) -> int:
    """Lines that begin like `A.` or `B)`."""
    starts = (classes[:-2] == ByteClass.LINE).nonzero()[0]
    return int(np.count_nonzero((classes[starts + 1] == ByteClass.CAPITAL) & (classes[starts + 2] >= ByteClass.MATHS)))
