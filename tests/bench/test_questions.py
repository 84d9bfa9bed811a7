import msgspec
import pytest

from routewright.bench.questions import VARIANTS, chat_body, prompts


@pytest.mark.parametrize("size", [1_024, 32 * 1_024])
def test_prompts_have_the_size_and_none_is_like_another(size: int) -> None:
    made = prompts(size)
    assert len(set(made)) == VARIANTS
    assert all(len(prompt) == pytest.approx(size, rel=0.1) for prompt in made)


def test_an_unstreamed_body_asks_for_nothing_special() -> None:
    body = msgspec.json.decode(chat_body("Why?"))
    assert body["model"] == "auto"
    assert body["messages"][-1] == {"role": "user", "content": "Why?"}
    assert "stream" not in body


def test_a_streamed_body_says_how_many_chunks_it_wants() -> None:
    body = msgspec.json.decode(chat_body("Why?", chunks=7))
    assert (body["stream"], body["max_tokens"]) == (True, 7)
