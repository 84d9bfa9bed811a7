"""C13, C16: what a client calls itself, and a deadline that nothing could meet."""

from pathlib import Path

from clients import chat, house

FORGED = (
    b"x-attempt-id: forged\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    b"x-forwarded-for: 10.0.0.1\r\nx-forwarded-host: evil\r\n"
)


async def test_c13_two_requests_of_one_name_are_two_rows_and_no_name_reaches_the_provider(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        named = FORGED + b"x-request-id: mine\r\n"
        heard = [await opened.send(chat("ok", head=named)) for _ in range(2)]
        assert [each.statuses for each in heard] == [[200], [200]]
        assert [each.headers["x-request-id"] for each in heard] == ["mine", "mine"]
        rows = await opened.rows(2)
        assert {row["request_id"] for row in rows} == {each.headers["x-routewright-request-id"] for each in heard}
        assert len({row["request_id"] for row in rows}) == 2
        sent = "".join(opened.provider.heads).lower()
        assert "x-attempt-id: " in sent
        assert "forged" not in sent
        assert "traceparent" not in sent
        assert "10.0.0.1" not in sent


async def test_c13_a_name_is_echoed_only_where_it_can_do_no_harm(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        for name in (b"a" * 65, b"a b", b"<script>", b"a;b", b"\xc3\xa9", b"../x", b'"'):
            for model in ("ok", "no-such-model"):
                heard = await opened.send(chat(model, head=b"x-request-id: " + name + b"\r\n"))
                assert heard.headers["x-request-id"] == heard.headers["x-routewright-request-id"]
        for host in (b"x/..?#", b"evil.example", b"127.0.0.1.evil.example", b"[::1", b"user@127.0.0.1@evil"):
            data = chat("ok").replace(b"host: 127.0.0.1", b"host: " + host)
            (await opened.send(data)).refused(403, "foreign_origin")


async def test_c16_a_deadline_too_short_for_any_attempt_starts_none(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        heard = await opened.send(chat("ok", head=b"x-routewright-deadline-ms: 1\r\n"))
        heard.refused(504, "deadline_exceeded")
        assert heard.headers["x-should-retry"] == "false"
        assert opened.provider.bodies == []
        (row,) = await opened.rows()
        assert (row["outcome"], row["cost_nanousd"]) == ("deadline_exceeded", 0)
