# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The loops that learning is made of, compiled: the same as in `loops`, while other threads run.

Nothing here checks an index; `rows.Table` has seen to it that tables and vectors fit.
"""

from array import array

from libc.math cimport exp, fabs, log1p
from libc.stdint cimport int64_t, uint16_t


cdef double[::1] _zeros(Py_ssize_t size):
    return array("d", bytes(8 * size))


def dot(const double[::1] one, const double[::1] other):
    cdef double total = 0
    cdef Py_ssize_t at
    _check(one.shape[0] == other.shape[0])
    for at in range(one.shape[0]):
        total += one[at] * other[at]
    return total


def add(double[::1] to, double times, const double[::1] other):
    cdef Py_ssize_t at
    _check(to.shape[0] == other.shape[0])
    for at in range(to.shape[0]):
        to[at] += times * other[at]


def row_products(
    const int64_t[::1] starts, const uint16_t[::1] columns, const float[::1] values, const double[::1] weights
):
    cdef Py_ssize_t row, at, rows = starts.shape[0] - 1
    cdef double[::1] products = _zeros(rows)
    cdef double total
    with nogil:
        for row in range(rows):
            total = 0
            for at in range(starts[row], starts[row + 1]):
                total += values[at] * weights[columns[at]]
            products[row] = total
    return products.base


def column_products(
    const int64_t[::1] starts, const uint16_t[::1] columns, const float[::1] values, const double[::1] shares,
    Py_ssize_t size,
):
    cdef Py_ssize_t row, at, rows = starts.shape[0] - 1
    cdef double[::1] sums = _zeros(size)
    with nogil:
        for row in range(rows):
            for at in range(starts[row], starts[row + 1]):
                sums[columns[at]] += shares[row] * values[at]
    return sums.base


def missed(const double[::1] odds, const double[::1] scores):
    cdef Py_ssize_t at, size = odds.shape[0]
    cdef double[::1] missed = _zeros(size)
    cdef double surprise = 0, its, shrunk
    _check(size == scores.shape[0])
    with nogil:
        for at in range(size):
            its = odds[at]
            shrunk = exp(-fabs(its))
            surprise += (its if its > 0 else 0) + log1p(shrunk) - scores[at] * its
            missed[at] = (1 if its >= 0 else shrunk) / (1 + shrunk) - scores[at]
    return surprise, missed.base


cdef int _check(bint fits) except -1:
    if not fits:
        raise ValueError("vectors of different lengths")
    return 0
