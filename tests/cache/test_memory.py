from routewright.cache.memory import MemoryAnswers


async def test_the_one_unused_for_longest_goes_first() -> None:
    answers = MemoryAnswers(max_entries=2, max_bytes=100)
    for name in (b"a", b"b"):
        answers.keep(name, b"x", until_ns=9, now_ns=0)
    await answers.find(b"a", 0)
    answers.keep(b"c", b"x", until_ns=9, now_ns=0)
    assert [await answers.find(name, 0) for name in (b"a", b"b", b"c")] == [b"x", None, b"x"]


async def test_what_is_over_gives_its_room_back() -> None:
    answers = MemoryAnswers(max_entries=9, max_bytes=3)
    answers.keep(b"a", b"xx", until_ns=5, now_ns=0)
    assert await answers.find(b"a", 5) is None
    answers.keep(b"b", b"xxx", until_ns=9, now_ns=5)
    assert await answers.find(b"b", 5) == b"xxx"
