import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import msgspec
import pytest
from msgspec import NODEFAULT, Struct

from desk import Desk
from routewright.settings.schema import Sections, allowed, dotted, is_section, keys_of, without_none
from routewright.settings.sources import ALIASES

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
ROW = re.compile(r"\| `(.+?)` \| (.+?) \| (.+?) \| .+ \|")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def keys_below(section: type[Struct], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Every key of the code as the page should have it: key, what it may be, default."""
    for name, field in keys_of(section).items():
        inner = without_none(field.type)
        below = (*path, name)
        if get_origin(inner) is dict:
            inner = get_args(inner)[1]
            below = (*below, "NAME")
        if is_section(inner):
            yield from keys_below(inner, below)
        else:
            yield dotted(below), allowed(inner), default_of(field, below)


def default_of(field: msgspec.structs.FieldInfo, path: tuple[str, ...]) -> str:
    if path == ("ledger", "path"):
        return "`~/.local/share/routewright`"
    if field.default is None or get_origin(without_none(field.type)) is dict:
        return "–"
    if field.default is NODEFAULT:
        return "`[]`" if field.default_factory is not NODEFAULT else "required"
    if isinstance(field.default, tuple | frozenset):
        items = (f'"{each}"' if isinstance(each, str) else str(each) for each in field.default)
        return "`[" + ", ".join(items) + "]`"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def test_the_page_lists_every_key_with_its_range_and_default_and_no_other() -> None:
    assert ROW.findall(PAGE.read_text()) == list(keys_below(Sections))


def test_the_page_names_the_original_variables() -> None:
    text = PAGE.read_text().replace("\n", " ")
    for variable, path in ALIASES.items():
        assert re.search(rf"`{variable}` +\(`{dotted(path)}`\)", text), variable


def test_the_example_of_the_page_is_valid(desk: Desk) -> None:
    example = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    desk.write(example)
    settings = desk.load({"OPENAI_API_KEY": "sk-1"})
    assert settings.server.port == 9000
    assert settings.aliases == {"gpt-4o": "gpt-5.5"}
