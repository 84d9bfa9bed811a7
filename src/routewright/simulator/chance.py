"""Chance that repeats itself: every draw is keyed by what it is about, so neither order nor concurrency changes it."""

from random import Random


def generator(*key: str | int) -> Random:
    """A generator that gives the same numbers for the same key, in any process."""
    return Random(repr(key))
