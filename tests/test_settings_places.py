import tomllib
from collections.abc import Iterator, Mapping

from hypothesis import given
from hypothesis import strategies as st

from routewright.settings.places import Place, places_of

EVERY_FORM = '''\
# a comment with a = 1
top = 1
"quoted key" = 2
'literal' = 3
dotted . "x.y" . z = 4

[server]   # [not.this]
  port = 8484
text = "with # and [brackets] and \\" quote"
literal = 'C:\\path'
many = """
port = 1
\\""" still ""
[no]
"""
other = \'\'\'
host = 2
\'\'\'
when = 1979-05-27 07:32:00
then = 1979-05-27T07:32:00Z
list = [ "a]", # ]
  { inner = 1 }, [ 2 ] ]
last = true

[models."gpt-5.5"]
price = { input = "5", "output" = 6.5, more = { deep = [1] } }

[[several]]
name = "one"
[[several]]
name = "two"
[models."gpt-5.5".more]
"\\u00e9" = 1
'''


def test_every_form_of_key_is_found_where_it_stands() -> None:
    tomllib.loads(EVERY_FORM)
    places = places_of(EVERY_FORM)
    assert places == {
        ("top",): Place(2, 1),
        ("quoted key",): Place(3, 1),
        ("literal",): Place(4, 1),
        ("dotted",): Place(5, 1),
        ("dotted", "x.y"): Place(5, 10),
        ("dotted", "x.y", "z"): Place(5, 18),
        ("server",): Place(7, 2),
        ("server", "port"): Place(8, 3),
        ("server", "text"): Place(9, 1),
        ("server", "literal"): Place(10, 1),
        ("server", "many"): Place(11, 1),
        ("server", "other"): Place(16, 1),
        ("server", "when"): Place(19, 1),
        ("server", "then"): Place(20, 1),
        ("server", "list"): Place(21, 1),
        ("server", "last"): Place(23, 1),
        ("models",): Place(25, 2),
        ("models", "gpt-5.5"): Place(25, 9),
        ("models", "gpt-5.5", "price"): Place(26, 1),
        ("models", "gpt-5.5", "price", "input"): Place(26, 11),
        ("models", "gpt-5.5", "price", "output"): Place(26, 24),
        ("models", "gpt-5.5", "price", "more"): Place(26, 40),
        ("models", "gpt-5.5", "price", "more", "deep"): Place(26, 49),
        ("several",): Place(28, 3),
        ("several", "name"): Place(29, 1),
        ("models", "gpt-5.5", "more"): Place(32, 19),
        ("models", "gpt-5.5", "more", "é"): Place(33, 1),
    }


def test_lines_of_windows_and_of_no_end_are_counted() -> None:
    assert places_of("a = 1\r\n\r\n[b]\r\nc = 2") == {
        ("a",): Place(1, 1),
        ("b",): Place(3, 2),
        ("b", "c"): Place(4, 1),
    }


VALUES = st.sampled_from(
    [
        "1",
        "-2.5",
        "true",
        "inf",
        '"# text [a]"',
        "'it\"s'",
        '"""three\n# lines "" \n"""',
        "'''x\n=\n'''",
        "[1, [2, 3], ]",
        '["a", "]"] # c',
        '[\n  "b", # {\n  { c = "}" },\n]',
        "1979-05-27 07:32:00",
        "07:32:00",
        '{ k = 1, "l" = [2] }',
        "{}",
    ]
)
KEYS = st.sampled_from(["a", "b-c", "d_1", '"e.f"', "'g h'"])


def paths_in(table: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in table.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from paths_in(value, (*above, name))


@given(st.dictionaries(st.tuples(KEYS, KEYS), VALUES, max_size=6), st.sampled_from(["", "  ", "\t"]))
def test_whatever_tomllib_reads_is_found_and_nothing_else(values: dict[tuple[str, str], str], indent: str) -> None:
    lines, written = [], {}
    for number, ((section, key), value) in enumerate(values.items()):
        lines += [f"[s{number}.{section}] # c", f"{indent}{key} = {value}"]
        at = "\n".join(lines).count("\n") + 1 - value.count("\n")
        plain = (section.strip("\"'"), key.strip("\"'"))
        written[f"s{number}", *plain] = Place(at, len(indent) + 1)
    text = "\n".join(lines)
    places = places_of(text)
    assert set(places) == set(paths_in(tomllib.loads(text)))
    assert {path: places[path] for path in written} == written
