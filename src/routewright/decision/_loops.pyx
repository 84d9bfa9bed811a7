# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The loops that learning is made of, compiled: the same as in `loops`, while other threads run.

Nothing here checks an index; `rows.Table` has seen to it that tables and vectors fit.
"""

from cpython.array cimport array, clone
from libc.math cimport exp, fabs, log1p
from libc.stdint cimport int64_t, uint16_t


cdef array _DOUBLES = array("d")
cdef double _NOTHING[1]


def dot(array one not None, array other not None):
    cdef const double* of_one = <double*>_of(one, c"d")
    cdef const double* of_other = <double*>_of(other, c"d")
    cdef Py_ssize_t at, size = len(one)
    cdef double total = 0
    _check(size == len(other))
    for at in range(size):
        total += of_one[at] * of_other[at]
    return total


def add(array to not None, double times, array other not None):
    cdef double* sums = <double*>_of(to, c"d")
    cdef const double* numbers = <double*>_of(other, c"d")
    cdef Py_ssize_t at, size = len(to)
    _check(size == len(other))
    for at in range(size):
        sums[at] += times * numbers[at]


def row_products(array starts not None, array columns not None, array values not None, array weights not None):
    cdef Py_ssize_t row, at, rows = len(starts) - 1
    cdef array products = clone(_DOUBLES, rows, False)
    cdef double* sums = <double*>_of(products, c"d")
    cdef const double* numbers = <double*>_of(weights, c"d")
    cdef const int64_t* start = <int64_t*>_of(starts, c"q")
    cdef const uint16_t* column = <uint16_t*>_of(columns, c"H")
    cdef const float* value = <float*>_of(values, c"f")
    cdef double total
    with nogil:
        for row in range(rows):
            total = 0
            for at in range(start[row], start[row + 1]):
                total += value[at] * numbers[column[at]]
            sums[row] = total
    return products


def column_products(
    array starts not None, array columns not None, array values not None, array shares not None, Py_ssize_t size
):
    cdef Py_ssize_t row, at, rows = len(starts) - 1
    cdef array products = clone(_DOUBLES, size, True)
    cdef double* sums = <double*>_of(products, c"d")
    cdef const double* share = <double*>_of(shares, c"d")
    cdef const int64_t* start = <int64_t*>_of(starts, c"q")
    cdef const uint16_t* column = <uint16_t*>_of(columns, c"H")
    cdef const float* value = <float*>_of(values, c"f")
    with nogil:
        for row in range(rows):
            for at in range(start[row], start[row + 1]):
                sums[column[at]] += share[row] * value[at]
    return products


def missed(array odds not None, array scores not None):
    cdef Py_ssize_t at, size = len(odds)
    cdef array above = clone(_DOUBLES, size, False)
    cdef double* missed = <double*>_of(above, c"d")
    cdef const double* of = <double*>_of(odds, c"d")
    cdef const double* score = <double*>_of(scores, c"d")
    cdef double surprise = 0, its, shrunk
    _check(size == len(scores))
    with nogil:
        for at in range(size):
            its = of[at]
            shrunk = exp(-fabs(its))
            surprise += (its if its > 0 else 0) + log1p(shrunk) - score[at] * its
            missed[at] = (1 if its >= 0 else shrunk) / (1 + shrunk) - score[at]
    return surprise, above


cdef void* _of(array its, char typecode) except NULL:
    """The numbers of an array of this kind; of an empty one something that is not read."""
    _check(its.ob_descr.typecode == typecode)
    return its.data.as_voidptr if len(its) else <void*>_NOTHING


cdef int _check(bint fits) except -1:
    if not fits:
        raise ValueError("vectors of different lengths, or of other numbers")
    return 0
