from collections.abc import Mapping

import pytest

from routewright.dialects.multipart import MOST_FIELD_BYTES, MOST_HEAD_BYTES, MOST_PARTS, Form, Multipart, Part
from routewright.errors import InvalidRequest

TYPE = "multipart/form-data; boundary=b"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a \xc3\xa9.jsonl"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n{}\r\n--c\r\n\r\n--b\r\n"
    b'Content-Disposition: form-data; name="empty"\r\n\r\n\r\n--b--\r\n'
)


def read(data: bytes) -> Mapping[str, str]:
    form = Form(TYPE)
    list(form.feed(data))
    return form.end()


def field(name: str, value: bytes = b"x") -> bytes:
    return b'--b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)


FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n1\r\n'


def parts(data: bytes, size: int) -> list[tuple[Part, bytes]]:
    """What a form has, fed in pieces of this size."""
    multipart, found = Multipart(TYPE), list[tuple[Part, bytes]]()
    for start in range(0, len(data), size):
        for each in multipart.feed(data[start : start + size]):
            if isinstance(each, Part):
                found.append((each, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + each)
    multipart.end()
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
def test_a_form_is_the_same_under_any_split(size: int) -> None:
    assert parts(FORM, size) == [
        (Part("purpose", None), b"batch"),
        (Part("file", "a é.jsonl"), b"{}\r\n--c\r\n"),
        (Part("empty", None), b""),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"preamble\r\n" + FORM,
        FORM[:-4],
        FORM + b"epilogue",
        FORM + FORM,
        FORM.replace(b'--b\r\nContent-Disposition: form-data; name="empty"', b"--b\tx\r\n"),
        b"--b\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\ncontent-disposition: attachment; name="a"\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\ncontent-disposition: form-data; name="a" junk\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\ncontent-disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\nx: " + b"y" * MOST_HEAD_BYTES + b"\r\n\r\nx\r\n--b--\r\n",
        field("a") * (MOST_PARTS + 1) + b"--b--\r\n",
    ],
)
@pytest.mark.parametrize("size", [3, 100_000])
def test_what_is_not_a_whole_form_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(InvalidRequest):
        parts(data, size)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=" + "b" * 71,
        "multipart/form-data; boundary=é",
    ],
)
def test_what_is_not_declared_as_a_form_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        Multipart(content_type)


@pytest.mark.parametrize("boundary", ['"b"', "b", "b; charset=utf-8"])
def test_a_boundary_may_be_quoted(boundary: str) -> None:
    form = Form(f"Multipart/Form-Data; boundary={boundary}")
    assert b"".join(form.feed(FORM)) == b"{}\r\n--c\r\n"
    assert form.end() == {"purpose": "batch", "empty": ""}


@pytest.mark.parametrize(
    "data",
    [
        field("purpose"),
        field("file"),
        FILE + FILE,
        FILE + field("a") + field("a"),
        FILE.replace(b'"file"', b'"other"'),
        FILE + field("a", b"x" * (MOST_FIELD_BYTES + 1)),
        FILE + field("a", b"\xff"),
    ],
)
def test_a_form_has_one_file_and_short_fields_of_which_each_is_there_once(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(data + b"--b--\r\n")
