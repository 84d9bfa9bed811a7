# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The counts of `census`, compiled: each by one pass over the bytes, where the plain ones take up to nine.

They give the same on any bytes; `tests/decision/test_census.py` compares them.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

from routewright.decision import census

cdef enum:
    FIELD = 12  # bits of a count within a sum of all classes
    MOST_TOGETHER = (1 << FIELD) - 1  # bytes, before one of these counts could overflow
    MOST_BYTES = 255  # before a count in a byte could, of which a processor adds up many at a time
    STARTS_MOST = 64

cdef uint64_t COUNTS_AS[256]  # a one in its class's field
cdef uint8_t IS_LOOKED_AT[256]
cdef uint8_t BEGINS_PASTED[256]
cdef const char* STARTS[STARTS_MOST]
cdef Py_ssize_t STARTS_BYTES[STARTS_MOST]
cdef Py_ssize_t MOST_PLAIN_COMMAS = census.MOST_PLAIN_COMMAS
cdef Py_ssize_t STARTS_SIZE = len(census.PASTED_STARTS)
_starts = census.PASTED_STARTS  # kept alive, as `STARTS` points into them


cdef void _read_tables() except *:
    cdef int byte, at
    cdef bytes start
    if STARTS_SIZE > STARTS_MOST:
        raise ImportError("there are more words that begin pasted lines than this was compiled for")
    for byte in range(256):
        COUNTS_AS[byte] = 0
        for at, members in enumerate((census.SMALL, census.CAPITALS, census.DIGITS, census.BLANKS)):
            if byte in members:
                COUNTS_AS[byte] = (<uint64_t> 1) << (at * FIELD)
        if COUNTS_AS[byte] == 0 and byte < 0x80:
            COUNTS_AS[byte] = (<uint64_t> 1) << (4 * FIELD)
        if _in_word(byte) != (census.WORD_MARKS[byte] != b" "[0]):
            raise ImportError("what words are made of is another than this was compiled for")
        IS_LOOKED_AT[byte] = byte in b"{;\t,\n"
        BEGINS_PASTED[byte] = 0
    for at in range(STARTS_SIZE):
        start = census.PASTED_STARTS[at]
        STARTS[at], STARTS_BYTES[at] = start, len(start)
        BEGINS_PASTED[<uint8_t> start[0]] = 1
    for byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ[":
        BEGINS_PASTED[byte] = 1


_read_tables()


def count_classes(bytes data not None):
    """As `census.plain_classes` says."""
    cdef const uint8_t* each = data
    cdef Py_ssize_t size = len(data), at = 0, end
    cdef uint64_t sums, mask = MOST_TOGETHER
    cdef Py_ssize_t small = 0, capitals = 0, digits = 0, blanks = 0, marks = 0
    while at < size:
        end, sums = min(at + MOST_TOGETHER, size), 0
        while at < end:
            sums += COUNTS_AS[each[at]]
            at += 1
        small += sums & mask
        capitals += (sums >> FIELD) & mask
        digits += (sums >> (2 * FIELD)) & mask
        blanks += (sums >> (3 * FIELD)) & mask
        marks += (sums >> (4 * FIELD)) & mask
    if blanks > 1:
        blanks -= 2 * _blank_pairs(each, size)
    return small, capitals, digits, blanks, marks


cdef Py_ssize_t _blank_pairs(const uint8_t* each, Py_ssize_t size) noexcept:
    cdef Py_ssize_t at, pairs = 0
    cdef uint8_t adjacent = 0
    for at in range(size - 1):  # one comparison of many bytes at a time: most texts have none
        adjacent |= (each[at] == 32) & (each[at + 1] == 32)
    if not adjacent:
        return 0
    at = 0
    while at < size - 1:
        if each[at] == 32 and each[at + 1] == 32:
            pairs += 1
            at += 1
        at += 1
    return pairs


def count_words(bytes data not None):
    """As `census.plain_words` says."""
    cdef const uint8_t* each = data
    cdef Py_ssize_t size = len(data), at = 1, end, words = 0
    cdef uint8_t begun
    if size == 0:
        return 0
    words = _in_word(each[0])
    while at < size:
        end, begun = min(at + MOST_BYTES, size), 0
        while at < end:
            begun += _in_word(each[at]) & ~_in_word(each[at - 1]) & 1
            at += 1
        words += begun
    return words


cdef inline uint8_t _in_word(uint8_t byte) noexcept:
    return (<uint8_t> ((byte | 32) - 97) < 26) | (<uint8_t> (byte - 48) < 10) | (byte == 95) | (byte >= 128)


def may_hold_pasted(bytes data not None):
    """As `census.plain_may_hold_pasted` says."""
    cdef const uint8_t* each = data
    cdef Py_ssize_t size = len(data), at, commas = 0
    cdef uint8_t byte
    for at in range(size):
        byte = each[at]
        if not IS_LOOKED_AT[byte]:
            continue
        if byte == b","[0]:
            if at + 1 == size or each[at + 1] != 32:
                commas += 1
                if commas > MOST_PLAIN_COMMAS:
                    return True
        elif byte != b"\n"[0]:
            return True
        elif at + 1 < size and BEGINS_PASTED[each[at + 1]] and _is_pasted_start(each + at + 1, size - at - 1):
            return True
    return False


cdef bint _is_pasted_start(const uint8_t* line, Py_ssize_t size) noexcept:
    cdef Py_ssize_t at, bracket = line[0] == b"["[0]
    for at in range(STARTS_SIZE):
        if STARTS_BYTES[at] <= size and memcmp(line, STARTS[at], STARTS_BYTES[at]) == 0:
            return True
    line, size = line + bracket, size - bracket
    return _all_within(line, size, 2, b"0"[0], b"9"[0]) or _all_within(line, size, 4, b"A"[0], b"Z"[0])


cdef bint _all_within(const uint8_t* line, Py_ssize_t size, Py_ssize_t count, uint8_t first, uint8_t last) noexcept:
    cdef Py_ssize_t at
    if size < count:
        return False
    for at in range(count):
        if not first <= line[at] <= last:
            return False
    return True
