"""What of a request is shown to others who are to say something about it: a part, of a bounded length."""

from routewright.call import Call

SHOWN_CHARS = 2_000
"""Of a longer turn half of this from the start and half from the end: what people want is said there."""

_GAP = "\n[…]\n"


def excerpt(call: Call) -> str | None:
    """The last turn of the user that has words, at most `SHOWN_CHARS` of it; None when there is none."""
    turns = (message.text for message in reversed(call.messages) if message.role == "user")
    asked = next((text for text in turns if text and not text.isspace()), None)
    if asked is None or len(asked) <= SHOWN_CHARS:
        return asked
    half = SHOWN_CHARS // 2
    return asked[:half] + _GAP + asked[-half:]
