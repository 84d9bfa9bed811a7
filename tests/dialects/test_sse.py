"""Frames are what the bytes say, whatever the chunks were."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.dialects.sse import FRAME_LIMIT, Splitter, frame, looks_like_events, payload

LEGAL = [
    (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    (b"data: a\r\rdata: b\r\rdata: c\r\r:", [b"a", b"b", b"c"]),
    (b"data: a\n\r\ndata: b\r\n\ndata: c\n\n", [b"a", b"b", b"c"]),
    (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
    (b": keep-alive\n\ndata: a\n\n", [b"", b"a"]),
    (b"event: x\nid: 7\ndata: a\nretry: 9\n\n", [b"a"]),
    (b"data: a\ndata: b\n\n", [b"a\nb"]),
    (b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"]),
    (b"data: a\n\n\n\n\ndata: b\n\n", [b"a", b"", b"b"]),
    ("data: grüße €\n\n".encode(), ["grüße €".encode()]),
    (b"data: tab\there\x0b\x0c\x1c\x85\n\n", [b"tab\there\x0b\x0c\x1c\x85"]),
]


def split(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    splitter = Splitter()
    return [(found.raw, found.data) for chunk in chunks for found in splitter.feed(chunk)]


@pytest.mark.parametrize(("stream", "expected"), LEGAL)
def test_every_legal_form_is_read(stream: bytes, expected: list[bytes]) -> None:
    assert [data for _, data in split(stream)] == expected


@pytest.mark.parametrize(("stream", "expected"), LEGAL)
def test_every_split_in_two_and_byte_by_byte_gives_the_same_frames(stream: bytes, expected: list[bytes]) -> None:
    whole = split(stream)
    for at in range(1, len(stream)):
        assert split(stream[:at], stream[at:]) == whole
    assert split(*(stream[at : at + 1] for at in range(len(stream)))) == whole


@given(
    st.lists(st.sampled_from([b"data: a", b"data:", b":", b"\n", b"\r", b"\r\n", b"\n\n", b"\xc3\xa4", b" "])),
    st.lists(st.integers(0, 60)),
)
def test_any_bytes_under_any_split_give_the_same_frames(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert split(*chunks) == split(stream)
    frames = b"".join(raw for raw, _ in split(stream))
    assert stream.startswith(frames)


def test_raw_bytes_and_the_rest_are_all_that_was_received() -> None:
    stream = b": hi\r\n\r\ndata: a\n\nevent: x\rdata: b\r\rdata: c"
    splitter = Splitter()
    frames = [*splitter.feed(stream[:9]), *splitter.feed(stream[9:])]
    assert b"".join(found.raw for found in frames) + b"data: c" == stream
    rest = splitter.end()
    assert rest is not None
    assert (rest.raw, rest.data) == (b"data: c\n\n", b"c")


@pytest.mark.parametrize(
    ("rest", "completed"),
    [
        (b"data: a", b"data: a\n\n"),
        (b"data: a\n", b"data: a\n\n"),
        (b"data: a\r\n", b"data: a\r\n\n"),
        (b"data: a\r\r", b"data: a\r\r"),
    ],
)
def test_a_last_frame_gets_the_blank_line_it_lacks(rest: bytes, completed: bytes) -> None:
    splitter = Splitter()
    assert splitter.feed(rest) == []
    found = splitter.end()
    assert found is not None
    assert (found.raw, found.data) == (completed, b"a")
    assert split(found.raw + b":")[0] == (completed, b"a")


def test_nothing_is_left_after_whole_frames() -> None:
    splitter = Splitter()
    splitter.feed(b"data: a\n\n \n")
    assert splitter.end() is None


@pytest.mark.parametrize("size", [FRAME_LIMIT, FRAME_LIMIT + 1])
@pytest.mark.parametrize("step", [FRAME_LIMIT * 2, 100_000])
def test_a_frame_over_the_limit_is_dropped_and_those_before_it_are_not(size: int, step: int) -> None:
    long = b"data: " + b"x" * (size - 8) + b"\n\n"
    stream = b"data: a\n\n" + long + b"data: b\n\n"
    splitter = Splitter()
    sizes = []
    for at in range(0, len(stream), step):
        if not splitter.is_overfull:
            sizes += [len(found.raw) for found in splitter.feed(stream[at : at + step])]
    assert splitter.is_overfull == (size > FRAME_LIMIT)
    assert sizes == ([9] if splitter.is_overfull else [9, size, 9])


def test_an_endless_line_is_not_kept() -> None:
    splitter = Splitter()
    for _ in range(20):
        splitter.feed(b"x" * 65_536)
    assert splitter.is_overfull


def test_what_is_written_can_be_read() -> None:
    assert payload(frame(b'{"a":1}')) == b'{"a":1}'


@pytest.mark.parametrize(
    ("start", "is_stream"),
    [
        (b"", True),
        (b"da", True),
        (b"data: {", True),
        (b": hello", True),
        (b"\xef\xbb\xbf\nevent: x", True),
        (b"<html>", False),
        (b'{"error": 1}', False),
        (b"database", False),
    ],
)
def test_a_stream_is_told_from_a_page(start: bytes, is_stream: bool) -> None:
    assert looks_like_events(start) == is_stream
