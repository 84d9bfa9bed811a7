"""What is asked: prompts as people write them, of a given size, no two alike."""

from collections.abc import Mapping

import msgspec

VARIANTS = 64
MODEL = "auto"
NOTHING: Mapping[str, str] = {}

_CASE = (
    "Order {number}: the customer writes that the parcel arrived on Tuesday with one corner crushed and the lamp in it "
    "cracked along the base. She kept the packaging, took four photographs, and would rather have a replacement than "
    "her money back, because the lamp belongs to a pair and the other one is already mounted. Our warehouse has eleven "
    "pieces left, but in the newer shade of green, which differs visibly by daylight. The carrier accepts claims up to "
    "seven days after delivery and wants the photographs, the weight of the parcel and the invoice. She has bought "
    "from us three times before, always by bank transfer, and has asked that nobody calls her during working hours. "
)
_TASK = (
    "Please write a short and friendly answer to her: say what we can do, mention the difference in colour honestly, "
    "tell her which papers we still need, and propose two dates next week. Keep it under 150 words, use no bullet "
    "points, and do not promise a refund. Sign it as the service team, and leave a blank line above the signature."
)


def prompts(size: int) -> tuple[str, ...]:
    """`VARIANTS` prompts of about `size` characters: cases, and at the end what to do with them."""
    cases = max(1, round((size - len(_TASK)) / len(_CASE)))
    numbers = range(10_000, 10_000 + VARIANTS * cases)
    return tuple(
        "".join(_CASE.format(number=number) for number in numbers[first : first + cases]) + _TASK
        for first in range(0, len(numbers), cases)
    )


def chat_body(
    prompt: str, *, chunks: int | None = None, model: str = MODEL, mock: Mapping[str, str] = NOTHING
) -> bytes:
    """The body of a chat completion; streamed if `chunks` says how many the mock upstream shall send.

    `mock` tells it what else to do: see `upstream`.
    """
    messages = [
        {"role": "system", "content": "You answer the mail of a small shop for lamps."},
        {"role": "user", "content": prompt},
    ]
    body: dict[str, object] = {"model": model, "temperature": 0.2, "messages": messages}
    if chunks is not None:
        body |= {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": chunks}
    if mock:
        body["metadata"] = mock
    return msgspec.json.encode(body)
