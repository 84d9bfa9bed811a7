import json
from pathlib import Path

import pytest

from routewright.cli.explain import HELP, errors, meaning
from routewright.errors import RoutewrightError
from terminal import Terminal


def test_every_error_says_what_it_means_and_what_helps() -> None:
    assert HELP.keys() == {error.number for error in errors()}
    for error in errors():
        assert meaning(error)


def test_no_two_errors_share_a_number() -> None:
    def tree(kind: type[RoutewrightError]) -> list[type[RoutewrightError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]

    numbers = [kind.number for kind in tree(RoutewrightError) if "number" in vars(kind)]
    assert len(numbers) == len(set(numbers)) == len(errors())


@pytest.mark.parametrize("name", ["E107", "e107", "model_not_found"])
def test_error_is_explained_by_number_or_code(tmp_path: Path, name: str) -> None:
    text = Terminal(tmp_path).run("explain", name).stdout
    assert text.startswith("E107 ModelNotFound: No model, alias or deployment of that name.\n")
    assert "HTTP      404" in text
    assert "GET /v1/models" in text


def test_all_are_listed_without_a_number(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    lines = terminal.run("explain").stdout.splitlines()
    assert len(lines) == 1 + len(errors())
    listed = json.loads(terminal.run("explain", "--json").stdout)
    assert [error["number"] for error in listed] == sorted(HELP)


def test_unknown_number_is_a_usage_error(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("explain", "E999")
    assert result.exit_code == 2
    assert "there is no error 'E999'" in result.stderr
