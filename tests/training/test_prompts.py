from pathlib import Path
from typing import Any

import pytest

from outcomes import write_lines
from routewright.catalog.registry import Tier
from routewright.decision.features import Features, extract
from routewright.errors import ArtefactError
from routewright.training.prompts import Prompt, read_prompts

PLAIN: dict[str, Any] = {"kind": "translation", "tier": "bulk", "lang": "en", "ask": "Translate this into French"}


def prompt(**changes: Any) -> Prompt:
    return Prompt(kind="translation", tier=Tier.BULK, lang="en", ask="Translate this into French", **changes)


def seen(**changes: Any) -> Features:
    return extract(prompt(**changes).call())


def test_prompts_of_all_files_are_read_in_order(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "one.jsonl", [PLAIN, PLAIN | {"ask": "Summarise this"}])
    two = write_lines(tmp_path / "two.jsonl", [PLAIN | {"ask": "Rename this"}])
    assert [each.ask for each in read_prompts([one, two])] == [PLAIN["ask"], "Summarise this", "Rename this"]
    assert read_prompts([]) == []


@pytest.mark.parametrize(
    "change", [{"tier": "huge"}, {"format": "xml"}, {"place": "beside"}, {"ask": None}, {"tools": "many"}]
)
def test_prompt_that_is_not_as_described_is_refused_with_its_file(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", [PLAIN, PLAIN | change])
    with pytest.raises(ArtefactError, match=r"prompts\.jsonl cannot be read as written prompts"):
        read_prompts([path])


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="nowhere"):
        read_prompts([tmp_path / "nowhere.jsonl"])


def test_content_stands_where_it_is_placed() -> None:
    assert prompt(content="Hello").text == "Translate this into French\n\nHello"
    assert prompt(content="Hello", place="before").text == "Hello\n\nTranslate this into French"
    assert prompt().text == "Translate this into French"


def test_call_has_the_described_shape() -> None:
    assert seen(tools=32, forced_tool=True).forced_tool == "tool_0"
    assert seen(tools=32).tools == 32
    assert seen(forced_tool=True).forced_tool is None
    assert seen(format="json_schema").output_format.kind == "json_schema"
    assert seen(turns=4).turns == 4
    assert seen(turns=2, before="Read this letter").turns == 2


def test_tool_result_is_no_part_of_the_users_turn() -> None:
    features = seen(content="src/users.py:12", tool_result=True, tools=3)
    assert features.is_agent_step
    assert features.text == "Translate this into French"
    assert features.tool_result_chars == len("src/users.py:12")
