"""Seals of one dialect in the hands of a client of another: `rw1.<dialect>.<seal>`.

A client gives back what it was given, whoever made it. With the maker's name on it, a seal finds its way back to the
dialect that can read it, and never to another, which would refuse the whole request for it.
"""

_MARK = "rw1."


def wrapped(seal: str, dialect: str) -> str:
    """A seal of `dialect` for a client that speaks another one."""
    return f"{_MARK}{dialect}.{seal}"


def is_wrapped(text: str) -> bool:
    """Whether it was ours to wrap it."""
    return text.startswith(_MARK)


def unwrapped(text: str, dialect: str) -> tuple[str, str]:
    """The seal in a client's text, and whose it is: that of `dialect`, the client's own, if it was never wrapped."""
    if not is_wrapped(text):
        return text, dialect
    maker, _, seal = text.removeprefix(_MARK).partition(".")
    return seal, maker
