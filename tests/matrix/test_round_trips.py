"""Whatever is asked: a client's body, read and written anew for a provider, means the same there; for every pair.

And whatever is answered: a provider's stream gives the same events however it is cut.
"""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import attempt, call, deployment, model
from matrix.desk import FACES, PROVIDERS, all_cells
from matrix.faces import chat, messages, responses
from matrix.meaning import Function, Line, Outcome, Said, Thought, Use, Wish, Words
from matrix.providers.known import SPEAKERS
from matrix.scenarios import CITY, PARIS, PNG, TOKYO
from routewright.call import Attempt, Call, Options
from routewright.catalog.registry import Capability
from routewright.dialects.known import DOWNSTREAMS, UPSTREAMS
from routewright.reply import Event

BODIES: Mapping[str, Callable[[Wish], dict[str, Any]]] = {
    "openai_chat": chat.body_of,
    "openai_responses": responses.body_of,
    "anthropic_messages": messages.body_of,
}
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text.strip())
FUNCTIONS = (Function("look", CITY), Function("find", CITY))
# Made once: a strategy that is made anew for each draw is looked through anew, which takes longer than the draw.
MAYBE, TURNS, CALLS, NAMED = st.booleans(), st.integers(0, 3), st.integers(1, 2), st.sampled_from(["look", "find"])


@st.composite
def turns(draw: st.DrawFn) -> tuple[Line, ...]:
    """A conversation in which every call has its result, and which ends with the user."""
    lines: list[Line] = [Words("system", draw(WORDS))] if draw(MAYBE) else []
    for number in range(draw(TURNS)):
        lines.append(Words("user", draw(WORDS)))
        if draw(MAYBE):
            lines.append(PNG)
        if draw(MAYBE):
            lines.append(Words("assistant", draw(WORDS)))
            continue
        uses = [Use(f"call_{number}_{index}", draw(NAMED), {"city": draw(WORDS)}) for index in range(draw(CALLS))]
        lines += [*uses, *(Outcome(use.id, draw(WORDS)) for use in uses), Words("user", draw(WORDS))]
        lines.append(Words("assistant", draw(WORDS)))
    return (*lines, Words("user", draw(WORDS)))


WISHES = st.builds(
    Wish,
    lines=turns(),
    functions=st.just(FUNCTIONS),
    choice=st.sampled_from(["", "none", "required", "look"]),
    schema=st.sampled_from([None, CITY]),
    effort=st.sampled_from(["", "low", "high"]),
    max_tokens=st.integers(1, 4_000),
)


def tried(upstream: str, asked: Call) -> Attempt:
    place = deployment(dialect=upstream, upstream_model=SPEAKERS[upstream].model)
    return attempt(asked, model("any", place, capabilities=frozenset(Capability)))


@pytest.mark.parametrize(("face", "upstream"), list(all_cells()))
@given(wish=WISHES)
def test_what_is_asked_means_the_same_everywhere(face: str, upstream: str, wish: Wish) -> None:
    body = json.dumps({**BODIES[face](wish), "model": "any"}).encode()
    asked = DOWNSTREAMS[face].read(body, request_id="0199", options=Options())
    assert UPSTREAMS[upstream].cannot_carry(asked) is None
    sent = json.loads(UPSTREAMS[upstream].write_request(tried(upstream, asked)).body)
    assert SPEAKERS[upstream].understood(sent) == wish


STREAMS = {
    "words": Said(thoughts=(Thought("Hm 👩‍🚀", "c2VhbA=="),), pieces=("Grüß ", "東京 𝄞"), finish="length"),
    "tools": Said(pieces=("Mal sehen",), uses=(PARIS, TOKYO), finish="tools"),
    "refusal": Said(refusal="Das kann ich nicht.", finish="refusal"),
}


@pytest.mark.parametrize("upstream", PROVIDERS)
@pytest.mark.parametrize("kind", STREAMS)
@given(data=st.data())
def test_a_stream_gives_the_same_events_however_it_is_cut(upstream: str, kind: str, data: st.DataObject) -> None:
    body = b"".join(SPEAKERS[upstream].frames(STREAMS[kind]))
    cuts = data.draw(st.sets(st.integers(1, len(body) - 1), max_size=12))
    pieces = [body[begin:end] for begin, end in pairwise([0, *sorted(cuts), len(body)])]
    assert decoded(upstream, pieces) == decoded(upstream, [body])


@pytest.mark.parametrize("upstream", PROVIDERS)
def test_a_stream_gives_the_same_events_byte_for_byte(upstream: str) -> None:
    for said in STREAMS.values():
        body = b"".join(SPEAKERS[upstream].frames(said))
        assert decoded(upstream, [body[at : at + 1] for at in range(len(body))]) == decoded(upstream, [body])


def decoded(upstream: str, pieces: list[bytes]) -> list[Event]:
    decoder = UPSTREAMS[upstream].decoder(tried(upstream, call(stream=True)))
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.end()]


def test_every_client_is_here() -> None:
    assert set(BODIES) == set(FACES)
