# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The look at a text, compiled: what `glance.NumpyGlancer` does by some sixty calls of numpy, in a few loops.

Numbers of the hash, tables and sizes are those of `sketch`, read when this module is imported. Words, runs, rows, counts
and fingerprint come out the same to the bit; what is added up in single precision may differ in the last digit, as it
is added in another order.

Nothing here checks an index where it is used; each is within its bounds for one of these reasons:

* a byte looks up in a table of 256;
* a bucket is what `SHIFT` leaves of 64 bits, below `BUCKETS`, and both indexes have a group for each 16 of these;
* a row is a number of known buckets before another, or the row of all others, which comes after them;
* a row is in `_rows` once, and there is room for `TOGETHER` more.

A glancer works in buffers of its own, so two threads must not look by it at once. They do not: whatever could let
another thread run is done before the first buffer is written, or after the last one was read (see `glance`).
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport exp, floor, log2, rintf, sqrt
from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy as np

from routewright.decision import sketch
from routewright.decision.artefact import SHAPE as _SHAPE, STEPS as _STEPS
from routewright.decision.glance import MOST_KINDS, Glance
from routewright.decision.sketch import ByteClass, edges
from routewright.decision.success import COUNTS_SCALE as _COUNTS_SCALE

# ---- numbers and tables, from where they are said -------------------------------------------------------------------

cdef enum:
    CLASSES = 16  # no fewer than there are
    LINE_BYTES = 64  # of a processor's cache
    GROUP = 16  # buckets
    TOGETHER = 4  # rows that are added up as bytes, without overflow
    MOST_TOGETHER = 1024  # and as two bytes
    LANES = 4  # neighbouring bytes are counted apart, so that none waits for the one before to be counted
    MOST_SHARES = 16
    RUN = 4
    WORD = 1  # a byte of words
    ALONE = 3  # one that begins a word wherever it stands

cdef uint64_t BASE = sketch.BASE
cdef uint64_t MIX = int(sketch.MIX)
cdef uint64_t PAIR = int(sketch.PAIR)
cdef int SHIFT = int(sketch.SHIFT)
cdef Py_ssize_t BUCKETS = sketch.BUCKETS
cdef Py_ssize_t FOLDED = sketch.FOLDED
cdef Py_ssize_t COUNTS = sketch.COUNTS
cdef Py_ssize_t SHAPE = _SHAPE
cdef int STEPS = _STEPS
cdef float COUNTS_SCALE = _COUNTS_SCALE
cdef float STEPS_OF_COUNT = 1 / sketch.COUNT_STEP
cdef int LENGTH_STEPS = sketch.LENGTH_STEPS
cdef int NUMBER_STEPS = sketch.NUMBER_STEPS
cdef int SHORTEST = sketch.SHORTEST
cdef int CAPITAL = ByteClass.CAPITAL
cdef int DIGIT = ByteClass.DIGIT
cdef int LINE = ByteClass.LINE
cdef int MATHS = ByteClass.MATHS
cdef int QUESTION = ByteClass.QUESTION
cdef Py_ssize_t SHARES_SIZE = len(sketch.SHARES)
cdef int SHARES[MOST_SHARES]
cdef uint8_t CLASS_OF[256]
# by a byte of any case
cdef uint8_t MEMBERSHIP[256]
cdef uint64_t LETTER[256]  # what is hashed of it
cdef uint8_t ONES[256]  # bits of a byte that are set
cdef uint64_t PART_OF_RUN[RUN][256]  # what it adds to the hash of a run, by its place there; mixed already


cdef void _read_tables() except *:
    cdef int byte, small, place
    cdef uint64_t power = MIX
    if ByteClass.SIZE > CLASSES or SHARES_SIZE > MOST_SHARES or sketch.RUN != RUN:
        raise ImportError("the sketch is another than this was compiled for")
    if 2 * STEPS * TOGETHER > 255 or 2 * STEPS * MOST_TOGETHER > 65_535:
        raise ImportError("the artefact's steps are more than this was compiled for")
    for place in range(SHARES_SIZE):
        SHARES[place] = sketch.SHARES[place]
    for byte in range(256):
        small = sketch.LOWER[byte]
        CLASS_OF[byte] = sketch.CLASS_OF[byte]
        MEMBERSHIP[byte] = ALONE if sketch.IS_ALONE[small] else WORD if sketch.IS_WORD[small] else 0
        LETTER[byte] = small + 1
        ONES[byte] = byte.bit_count()
    for place in range(RUN):
        for byte in range(256):
            PART_OF_RUN[place][byte] = LETTER[byte] * power
        power *= BASE


_read_tables()


cdef class CompiledGlancer:
    """As `glance.Glancer` says."""

    cdef tuple _kinds
    cdef Py_ssize_t _unknown
    """The row that stands for all that is not known, after all others."""
    cdef const uint32_t[::1] _words
    cdef const uint32_t[::1] _runs
    """Indexes, see `_index`."""
    cdef const uint8_t[:, ::1] _steps
    """[rows, K and what fills the lines]: each weight's steps from the lowest."""
    cdef const float[::1] _scales
    cdef const float[::1] _bias
    cdef const float[:, ::1] _weights
    """[COUNTS + SHAPE, K]."""
    cdef const double[:, ::1] _columns
    cdef const float[::1] _feature_weights
    cdef const float[:, ::1] _residuals

    # what is written in a look
    cdef uint8_t[::1] _is_there
    """[rows]: which are in `_rows`, and always the one of what is not known."""
    cdef uint16_t[::1] _rows
    cdef Py_ssize_t _known
    """So many of `_rows` are meant."""
    cdef uint8_t[::1] _fingerprint
    cdef float[::1] _inputs
    """Counts, then shape."""
    cdef uint16_t[::1] _parts
    cdef uint32_t[::1] _sums
    cdef float[::1] _odds
    cdef double[::1] _probabilities
    cdef double[::1] _means
    cdef float[::1] _corrections

    def __cinit__(self, artefact, columns, residuals):
        vocabulary, kinds = artefact.vocabulary, len(artefact.kinds)
        words = np.flatnonzero(vocabulary.row_of_word != vocabulary.size)
        runs = np.flatnonzero(vocabulary.row_of_run != vocabulary.size)
        order = np.concatenate((vocabulary.row_of_word[words], vocabulary.row_of_run[runs]))
        beside = artefact.steps[vocabulary.size :, :kinds] * artefact.scales[:kinds]
        if not (
            0 < kinds == artefact.steps.shape[1] - 1 == artefact.scales.shape[0] - 1 == artefact.bias.shape[0] - 1
            and len(vocabulary.row_of_word) == len(vocabulary.row_of_run) == BUCKETS
            and beside.shape[0] == COUNTS + SHAPE
            and columns.shape[0] == kinds
            and artefact.prior.weights.shape[0] == FOLDED
            and residuals.shape[0] == FOLDED + COUNTS
        ):
            raise ValueError("what texts are to be looked up in does not fit together")
        self._kinds, self._unknown = tuple(artefact.kinds), len(order)
        self._words, self._runs = _index(words, 0), _index(runs, len(words))
        self._steps = _lined_up(artefact.steps[order, :kinds])
        self._weights = np.ascontiguousarray(beside, np.float32)
        self._scales, self._bias, self._feature_weights = artefact.scales, artefact.bias, artefact.prior.weights
        self._columns, self._residuals = columns, residuals
        self._is_there = np.zeros(self._unknown + 1, np.uint8)
        self._is_there[self._unknown] = True
        self._rows = np.zeros(self._unknown + TOGETHER, np.uint16)
        self._fingerprint = np.zeros(FOLDED // 8 + COUNTS, np.uint8)
        self._inputs = np.zeros(COUNTS + SHAPE, np.float32)
        self._parts, self._sums = np.zeros(self._steps.shape[1], np.uint16), np.zeros(self._steps.shape[1], np.uint32)
        self._odds, self._probabilities = np.zeros(kinds, np.float32), np.zeros(kinds)
        self._means, self._corrections = np.zeros(columns.shape[1]), np.zeros(residuals.shape[1], np.float32)

    def glance(self, text, tuple shape not None):
        """Look at a text, and at the `SHAPE` numbers beside it; any text will do, and the time is bounded."""
        seen = edges(text)
        cdef bytes data = seen.encode("utf-8", "surrogatepass")
        cdef bytes line = b" %b " % (data if seen.isascii() else seen.lower().encode("utf-8", "surrogatepass"))
        if len(shape) != SHAPE:
            raise ValueError(f"a shape is {SHAPE} numbers, not {len(shape)}")
        cdef Py_ssize_t at, kind, told = min(<Py_ssize_t>MOST_KINDS, self._probabilities.shape[0])
        cdef list kinds = [None] * told
        cdef list probabilities = [None] * told
        cdef list means = [None] * self._means.shape[0]
        cdef list corrections = [None] * self._corrections.shape[0]
        for at in range(SHAPE):
            self._inputs[COUNTS + at] = shape[at]
        # From here to the fingerprint nothing is made that the garbage collector counts, and no Python is run.
        self._count(data, len(data), len(text))
        self._find(line, len(line))
        self._weigh()
        self._correct()
        for at in range(told):
            kind = self._likeliest()
            kinds[at], probabilities[at] = self._kinds[kind], self._probabilities[kind]
            self._probabilities[kind] = -1  # told
        for at in range(len(means)):
            means[at] = self._means[at]
        for at in range(len(corrections)):
            corrections[at] = self._corrections[at]
        fingerprint = PyBytes_FromStringAndSize(<const char*>&self._fingerprint[0], self._fingerprint.shape[0])
        return Glance(kinds, probabilities, means, corrections, fingerprint)

    # ---- what is there: `sketch.sketch` -----------------------------------------------------------------------------

    cdef void _count(self, const uint8_t* data, Py_ssize_t size, Py_ssize_t length) noexcept:
        """`sketch._counts`, and their bytes of the fingerprint."""
        cdef Py_ssize_t tally[LANES][CLASSES]
        cdef Py_ssize_t at, numbers = 0, options = 0
        cdef int kind, before = -1, lane
        memset(tally, 0, sizeof(tally))
        for at in range(size):
            kind = CLASS_OF[data[at]]
            tally[at & (LANES - 1)][kind] += 1
            numbers += (kind == DIGIT) > (before == DIGIT)
            if kind == LINE and at + 2 < size:
                options += CLASS_OF[data[at + 1]] == CAPITAL and CLASS_OF[data[at + 2]] >= MATHS
            before = kind
        for lane in range(1, LANES):
            for kind in range(CLASSES):
                tally[0][kind] += tally[lane][kind]

        cdef float* counts = &self._inputs[0]
        cdef double size_steps = log2(<double>length + 1)
        cdef double per_byte = 5 / <double>max(size, 1)
        memset(counts, 0, COUNTS * sizeof(float))
        _climb(counts, LENGTH_STEPS, size_steps - SHORTEST)
        counts += LENGTH_STEPS
        _climb(counts, NUMBER_STEPS, log2(<double>numbers + 1))
        counts += NUMBER_STEPS
        for at in range(SHARES_SIZE):
            counts[at] = min(tally[0][SHARES[at]] * per_byte, 1.0)
        counts += SHARES_SIZE
        counts[0] = min(tally[0][QUESTION], 3) / 3.0
        counts[1] = min(options, 10) / 10.0
        counts[2] = min(tally[0][LINE], 20) / 20.0
        counts[3] = size_steps / 12 - 1
        for at in range(COUNTS):
            self._fingerprint[FOLDED // 8 + at] = <uint8_t><int8_t>rintf(self._inputs[at] * STEPS_OF_COUNT)

    cdef void _find(self, const uint8_t* line, Py_ssize_t size) noexcept:
        """The rows of what an artefact knows of a line, each once, and the bits of its fingerprint."""
        cdef Py_ssize_t at
        memset(&self._fingerprint[0], 0, FOLDED // 8)
        for at in range(self._known):
            self._is_there[self._rows[at]] = False
        self._known = 0
        self._find_words(line, size)
        self._find_runs(line, size)

    cdef void _find_words(self, const uint8_t* line, Py_ssize_t size) noexcept:
        """And pairs of neighbours. A blank stands before and after them all."""
        cdef uint64_t word = 0, power = 1, before = 0
        cdef bint is_inside = False, is_second = False
        cdef Py_ssize_t at
        cdef int membership
        for at in range(size):
            membership = MEMBERSHIP[line[at]]
            if is_inside and membership != WORD:  # one ends here
                word *= MIX
                self._note_word(word)
                if is_second:
                    self._note_word(before * PAIR + word)
                before, is_second, is_inside = word, True, False
            if membership:
                if not is_inside:
                    word, power, is_inside = 0, 1, True
                word += LETTER[line[at]] * power
                power *= BASE

    cdef inline void _note_word(self, uint64_t mixed) noexcept:
        cdef Py_ssize_t bucket = mixed >> SHIFT, bit = bucket & (FOLDED - 1)
        self._known = _note(_row(&self._words[0], bucket, self._unknown), &self._rows[0], &self._is_there[0], self._known)
        self._fingerprint[bit >> 3] |= 0x80 >> (bit & 7)

    cdef void _find_runs(self, const uint8_t* line, Py_ssize_t size) noexcept:
        cdef const uint32_t* index = &self._runs[0]
        cdef uint16_t* rows = &self._rows[0]
        cdef uint8_t* is_there = &self._is_there[0]
        cdef uint64_t mixed
        cdef Py_ssize_t at, known = self._known
        for at in range(size - RUN + 1):
            mixed = PART_OF_RUN[0][line[at]] + PART_OF_RUN[1][line[at + 1]]
            mixed += PART_OF_RUN[2][line[at + 2]] + PART_OF_RUN[3][line[at + 3]]
            known = _note(_row(index, mixed >> SHIFT, self._unknown), rows, is_there, known)
        self._known = known

    # ---- what that says: `posterior.kinds_of` and `success.features_of` ---------------------------------------------

    cdef void _weigh(self) noexcept:
        """Probabilities of the kinds, and the columns' means over them."""
        cdef Py_ssize_t at, kind, column, kinds = self._probabilities.shape[0]
        cdef float* odds = &self._odds[0]
        cdef double* probabilities = &self._probabilities[0]
        cdef double* means = &self._means[0]
        cdef const float* weights
        cdef const double* numbers
        cdef float most, scale = 1 / sqrt(<double>max(self._known, 1))
        cdef double total = 0
        cdef int lowest = STEPS * self._add_known()  # where sums begin that are nothing
        for kind in range(kinds):
            odds[kind] = (<int>self._sums[kind] - lowest) * self._scales[kind] * scale + self._bias[kind]
        for at in range(COUNTS + SHAPE):
            if self._inputs[at]:
                weights = &self._weights[at, 0]
                for kind in range(kinds):
                    odds[kind] += self._inputs[at] * weights[kind]
        most = odds[0]
        for kind in range(1, kinds):
            most = max(most, odds[kind])
        for kind in range(kinds):
            probabilities[kind] = exp(<double>(odds[kind] - most))
            total += probabilities[kind]
        for column in range(self._means.shape[0]):
            means[column] = 0
        for kind in range(kinds):
            probabilities[kind] /= total
            numbers = &self._columns[kind, 0]
            for column in range(self._means.shape[0]):
                means[column] += probabilities[kind] * numbers[column]

    cdef Py_ssize_t _add_known(self) noexcept:
        """Add up the steps of all rows that are there, four rows in each step of the processor; how many these were."""
        cdef const uint8_t* one
        cdef const uint8_t* two
        cdef const uint8_t* three
        cdef const uint8_t* four
        cdef uint16_t* parts = &self._parts[0]
        cdef uint32_t* sums = &self._sums[0]
        cdef Py_ssize_t at = 0, end, kind, known = self._known, size = self._parts.shape[0]
        while known % TOGETHER:
            self._rows[known] = self._unknown
            known += 1
        memset(sums, 0, size * sizeof(uint32_t))
        while at < known:
            end = min(at + MOST_TOGETHER, known)
            memset(parts, 0, size * sizeof(uint16_t))
            while at < end:
                one, two = &self._steps[self._rows[at], 0], &self._steps[self._rows[at + 1], 0]
                three, four = &self._steps[self._rows[at + 2], 0], &self._steps[self._rows[at + 3], 0]
                for kind in range(size):
                    parts[kind] += <uint8_t>(one[kind] + two[kind] + three[kind] + four[kind])
                at += TOGETHER
            for kind in range(size):
                sums[kind] += parts[kind]
        return known

    cdef void _correct(self) noexcept:
        """What the residuals say of the folded words and of the counts."""
        cdef Py_ssize_t at, column, size = self._corrections.shape[0]
        cdef float* sums = &self._corrections[0]
        cdef const float* weights
        cdef float weight, squares = 0, scale
        if not size:
            return
        for column in range(size):
            sums[column] = 0
        for at in range(FOLDED):
            if self._fingerprint[at >> 3] & (0x80 >> (at & 7)):
                weight = self._feature_weights[at]
                squares += weight * weight
                weights = &self._residuals[at, 0]
                for column in range(size):
                    sums[column] += weight * weights[column]
        scale = 1 / max(sqrt(squares), 1e-6)
        for column in range(size):
            sums[column] *= scale
        for at in range(COUNTS):
            weights = &self._residuals[FOLDED + at, 0]
            for column in range(size):
                sums[column] += self._inputs[at] * COUNTS_SCALE * weights[column]

    cdef Py_ssize_t _likeliest(self) noexcept:
        """Of equals the last."""
        cdef Py_ssize_t kind, best = 0
        for kind in range(1, self._probabilities.shape[0]):
            if self._probabilities[kind] >= self._probabilities[best]:
                best = kind
        return best


cdef inline uint16_t _row(const uint32_t* index, Py_ssize_t bucket, uint16_t unknown) noexcept:
    cdef uint32_t group = index[bucket // GROUP], place = bucket % GROUP
    cdef uint32_t below = group & ((1 << place) - 1)
    return (group >> GROUP) + ONES[below & 255] + ONES[below >> 8] if group >> place & 1 else unknown


cdef inline Py_ssize_t _note(uint16_t row, uint16_t* rows, uint8_t* is_there, Py_ssize_t known) noexcept:
    """How many rows there are with this one: one that was there already is written, but not counted.

    There is no branch in this, as nobody could guess it.
    """
    rows[known] = row
    known += not is_there[row]
    is_there[row] = True
    return known


cdef void _climb(float* ladder, int steps, double height) noexcept:
    """`sketch._ladder`, on zeros."""
    cdef double below = floor(height)
    if 0 <= below < steps:
        ladder[<int>below] = 1 - (height - below)
    if 0 <= below + 1 < steps:
        ladder[<int>below + 1] = height - below


def _index(buckets, Py_ssize_t first):
    """For each 16 buckets: a bit for each that is known, and above these how many known ones come before the group.

    An eighth of a table of all rows, so that it stays in the processor's cache while the rest of a request is done.
    """
    groups = np.arange(BUCKETS // GROUP)
    before = first + np.searchsorted(buckets, groups * GROUP)
    bits = np.bincount(buckets // GROUP, 1 << buckets % GROUP, minlength=len(groups)).astype(np.uint32)
    return before.astype(np.uint32) << GROUP | bits


def _lined_up(steps):
    """Steps from the lowest as bytes, a row to a line of the cache, and at the end a row of what weighs nothing."""
    width = -(-steps.shape[1] // LINE_BYTES) * LINE_BYTES
    room = np.full((len(steps) + 1) * width + LINE_BYTES, STEPS, np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    lined = room[start : start + (len(steps) + 1) * width].reshape(-1, width)
    lined[:-1, : steps.shape[1]] += steps.view(np.uint8)
    return lined
