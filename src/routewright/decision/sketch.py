"""A text as a set of hashed features: one pass over the start and the end of it.

Words, pairs of neighbouring words and runs of four bytes are hashed by one polynomial, `hash = Σ (byte + 1) · Bⁱ
(mod 2⁶⁴)`. Only whether a feature is there counts, not how often: repeating a word changes nothing.

There are so many buckets that features seldom share one; an artefact knows the few thousand of them that tell most.
Folded to `FOLDED` buckets and kept as bits, the words are a *fingerprint* of some 300 bytes, which the ledger stores
beside an outcome: later learning needs nothing else of the text, and the text cannot be read out of it.
"""

import math
import re
from array import array
from itertools import pairwise
from typing import TypeAlias

from msgspec import Struct

from routewright.decision.features import EDGE_CHARS

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
FOLDED = 2_048
"""Buckets of a fingerprint; on recorded outcomes as good as four times as many."""
RUN = 4
"""Bytes of a character feature; the commonest length in language identification and what did best on dev."""

Buckets: TypeAlias = list[int]
Numbers: TypeAlias = "array[float]"
"""In single precision, `"f"`, or in double, `"d"`."""

BASE = 0x100000001B3  # FNV's prime
MIX = 0x9E3779B97F4A7C15  # 2⁶⁴ / golden ratio (Knuth): spreads a product over the upper bits
SHIFT = 64 - BUCKET_BITS
PAIR = 0x9E3779B1
_MASK = 2**64 - 1

LOWER = bytes(byte + 32 if 65 <= byte <= 90 else 32 if byte < 33 else byte for byte in range(256))
IS_ALONE = tuple([0xE3 <= byte <= 0xED for byte in range(256)])
"""First bytes of Han, kana and Hangul: written without blanks, so that each character is taken for a word."""
IS_WORD = tuple([97 <= byte <= 122 or 48 <= byte <= 57 or byte == 95 or byte >= 128 for byte in range(256)])


def _any_of(members: tuple[bool, ...]) -> bytes:
    return b"[%b]" % b"".join(re.escape(bytes([byte])) for byte in range(256) if members[byte])


_WITHIN = _any_of(tuple([IS_WORD[byte] and not IS_ALONE[byte] for byte in range(256)]))
_WORD = re.compile(b"%b%b*|%b+" % (_any_of(IS_ALONE), _WITHIN, _WITHIN))
_PARTS_OF_RUN = tuple([[(byte + 1) * MIX * BASE**place & _MASK for byte in range(256)] for place in range(RUN)])
"""What a byte adds to the hash of a run, by its place there."""


class ByteClass:
    """What a byte counts as."""

    OTHER, LETTER, CAPITAL, DIGIT, BLANK, LINE, MATHS, CODE, QUESTION, PUNCTUATION, FOREIGN, QUOTE = range(12)
    SIZE = 12


def _classes() -> bytes:
    table = bytearray([ByteClass.OTHER] * 128 + [ByteClass.FOREIGN] * 128)
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
        for byte in characters.encode():
            table[byte] = kind
    return bytes(table)


CLASS_OF = _classes()
_NUMBER = re.compile(b"[%c]+" % ByteClass.DIGIT)
_OPTION = re.compile(b"%c(?=%c[%c-%c])" % (ByteClass.LINE, ByteClass.CAPITAL, ByteClass.MATHS, ByteClass.QUOTE))
"""A line that begins like `A.` or `B)`."""


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
    small = data if text_edges.isascii() else text_edges.lower().encode(errors="surrogatepass")
    line = b" %b " % small.translate(LOWER)
    return Sketch(_word_buckets(line), _run_buckets(line), _counts(data, len(text)))


def _word_buckets(line: bytes) -> Buckets:
    """Of the words, then of each two that are neighbours; a blank stands before and after them all."""
    words = _WORD.findall(line)
    hash_of = {word: _hash(word) for word in set(words)}
    hashes = [hash_of[word] for word in words]
    pairs = [(first * PAIR + second & _MASK) >> SHIFT for first, second in pairwise(hashes)]
    return [each >> SHIFT for each in hashes] + pairs


def _hash(word: bytes) -> int:
    total = 0
    for byte in reversed(word):
        total = total * BASE + byte + 1 & _MASK
    return total * MIX & _MASK


def _run_buckets(line: bytes) -> Buckets:
    first, second, third, fourth = _PARTS_OF_RUN
    runs = zip(line, line[1:], line[2:], line[3:], strict=False)
    return [(first[a] + second[b] + third[c] + fourth[d] & _MASK) >> SHIFT for a, b, c, d in runs]


def fold(words: Buckets) -> Buckets:
    """The buckets of a fingerprint, ascending, each once: words and pairs only, which predict as well as all."""
    return sorted({word & (FOLDED - 1) for word in words})


def fingerprint(seen: Sketch) -> bytes:
    """A sketch in some 300 bytes: one bit for each folded bucket, then the counts."""
    bits = sum([1 << FOLDED - 1 - bucket for bucket in fold(seen.words)])
    counts = array("b", [round(count / COUNT_STEP) for count in seen.counts])
    return bits.to_bytes(FOLDED // 8, "big") + counts.tobytes()


_BITS_OF = tuple([tuple([bit for bit in range(8) if byte & 0x80 >> bit]) for byte in range(256)])


def unfingered(kept: bytes) -> tuple[Buckets, Numbers]:
    """The folded buckets, ascending, and the counts of a fingerprint."""
    folded = [8 * place + bit for place, byte in enumerate(kept[: FOLDED // 8]) for bit in _BITS_OF[byte]]
    return folded, array("f", [steps * COUNT_STEP for steps in array("b", kept[FOLDED // 8 :])])


def _counts(data: bytes, length: int) -> Numbers:
    classes = data.translate(CLASS_OF)
    questions, lines = classes.count(ByteClass.QUESTION), classes.count(ByteClass.LINE)
    size = math.log2(length + 1)
    per_byte = 5 / max(len(data), 1)
    return array(
        "f",
        (
            *_ladder(LENGTH_STEPS, size - SHORTEST),
            *_ladder(NUMBER_STEPS, math.log2(len(_NUMBER.findall(classes)) + 1)),
            *[min(classes.count(kind) * per_byte, 1) for kind in SHARES],
            min(questions, 3) / 3,
            min(len(_OPTION.findall(classes)), 10) / 10,
            min(lines, 20) / 20,
            size / 12 - 1,
        ),
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
