"""X10: nobody gets an answer from the response cache that was made for somebody else, or for another question."""

from pathlib import Path

from clients import Heard, House, chat, house

from routewright.access.description import read_wish

CACHE = '[cache]\nroutes = ["all"]\n'


async def states(opened: House, *requests: bytes) -> list[str | None]:
    """What each was told of the cache; all are answered."""
    heard: list[Heard] = [await opened.send(request) for request in requests]
    assert [each.statuses for each in heard] == [[200]] * len(heard)
    return [each.headers.get("x-routewright-cache") for each in heard]


def bearers(opened: House, *names: str) -> list[bytes]:
    """A header for each of some new keys."""
    issued = [opened.runtime.keyring.create(read_wish({"name": name})) for name in names]
    opened.runtime.directory.refresh()
    return [f"authorization: Bearer {each.text.reveal()}\r\n".encode() for each in issued]


async def test_x10_two_tenants_with_the_same_question_are_two(tmp_path: Path) -> None:
    async with house(tmp_path, CACHE) as opened:
        one, other = bearers(opened, "one", "other")
        asked = [chat("ok", head=head) for head in (one, other, one, other)]
        assert await states(opened, *asked) == ["miss", "miss", "hit", "hit"]
        assert len(opened.provider.bodies) == 2


async def test_x10_a_key_that_begins_like_another_is_another_and_what_is_no_key_gets_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, CACHE) as opened:
        (whole,) = bearers(opened, "one")
        assert await states(opened, chat("ok", head=whole)) == ["miss"]
        for cut in (whole[:42], whole[:-3]):  # twenty characters of it, and all but the last
            (await opened.send(chat("ok", head=cut.rstrip() + b"\r\n"))).refused(401, "invalid_api_key")
        assert len(opened.provider.bodies) == 1


async def test_x10_words_that_move_from_one_field_to_the_next_are_another_question(tmp_path: Path) -> None:
    def turns(*texts: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": text} for text in texts]

    async with house(tmp_path, CACHE) as opened:
        asked = [
            chat("ok", messages=turns("ab", "c")),
            chat("ok", messages=turns("a", "bc")),
            chat("ok", messages=turns("abc")),
            chat("ok", messages=turns("ab", "c"), stop="c"),
            chat("ok", messages=turns("ab", "c"), a_field_of_no_dialect=1),
            chat("held", messages=turns("ab", "c")),
            chat("ok", messages=turns('ab"},{"role":"user","content":"c')),
        ]
        assert await states(opened, *asked) == ["miss"] * len(asked)
        assert await states(opened, *asked) == ["hit"] * len(asked)
        assert len(opened.provider.bodies) == len(asked)
