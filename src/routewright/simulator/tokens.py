"""The simulator's own tokens: pieces of up to five letters. Not the estimator's rule, so that its errors are seen."""

import re

import msgspec

from routewright.call import JsonObject

_TOKEN = re.compile(r"\s?\w{1,5}|\s?[^\w\s]{1,3}|\s+")

IMAGE_TOKENS = 800


def split(text: str) -> list[str]:
    """The tokens of a text; joined, they are the text."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(split(text))


def count_json(value: object) -> int:
    """How many tokens a value has when written as JSON."""
    return count(msgspec.json.encode(value).decode())


def count_content(content: str | list[JsonObject] | None) -> int:
    """How many tokens a message's content has, in any wire format: words, parts, or nothing."""
    if content is None:
        return 0
    if isinstance(content, str):
        return count(content)
    return sum(_count_part(part) for part in content)


def _count_part(part: JsonObject) -> int:
    text = part.get("text")
    if isinstance(text, str):
        return count(text)
    if part.get("type") in (
        "image",
        "image_url",
        "input_image",
    ):  # a picture weighs the same however long its data: URL is
        return IMAGE_TOKENS
    return count_json(part)
