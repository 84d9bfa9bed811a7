"""`/v1/files`: whose they are, what is refused, what is bounded."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lobby import Answered, Lobby, lobby
from routewright.gateway import files_kept
from routewright.gateway.files_kept import KEPT_S, LEFT_OVER_S

FORM = {"content-type": "multipart/form-data; boundary=XX"}
LINES = b'{"custom_id": "1"}\n'
BAD_IDS = ("../_/file-", "file-..", "file-" + "0" * 31, "file-" + "G" * 32, "batch_" + "0" * 32, "%2e%2e", "a" * 5000)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


def form(content: bytes = LINES, *, name: str = "a.jsonl", **fields: str) -> bytes:
    parts = [
        b'--XX\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (key.encode(), value.encode())
        for key, value in ({"purpose": "batch"} | fields).items()
    ]
    file = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n' % (
        name.encode(),
        content,
    )
    return b"".join(parts) + file + b"--XX--\r\n"


async def upload(house: Lobby, key: str | None = None, **fields: Any) -> Answered:
    return await house.call("POST", "/v1/files", form(**fields), key=key, headers=FORM)


def on_disk(house: Lobby) -> list[Path]:
    return [path for path in (house.runtime.engine.settings.ledger.path / "files").rglob("*") if path.is_file()]


async def test_a_file_is_kept_shown_listed_read_and_deleted(house: Lobby) -> None:
    sent = (await upload(house)).json
    assert sent == {
        "id": sent["id"],
        "object": "file",
        "bytes": len(LINES),
        "created_at": house.clock.time_ns() // 10**9,
        "expires_at": house.clock.time_ns() // 10**9 + KEPT_S,
        "filename": "a.jsonl",
        "purpose": "batch",
        "status": "processed",
    }
    path = f"/v1/files/{sent['id']}"
    assert (await house.call("GET", path)).json == sent
    assert (await house.call("GET", f"{path}/content")).body == LINES
    assert (await house.call("GET", "/v1/files")).json["data"] == [sent]
    assert (await house.call("GET", "/v1/files?purpose=batch_output")).json["data"] == []
    assert (await house.call("DELETE", path)).json == {"id": sent["id"], "object": "file", "deleted": True}
    for method, place in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path)):
        gone = await house.call(method, place)
        assert (gone.status, gone.code) == (404, "file_not_found")
    assert on_disk(house) == []


async def test_a_list_goes_on_after_a_file(house: Lobby) -> None:
    ids = []
    for _ in range(3):
        ids.append((await upload(house)).json["id"])
        house.clock.advance(1)
    first = (await house.call("GET", "/v1/files?limit=2")).json
    assert [each["id"] for each in first["data"]] == [ids[2], ids[1]]
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, ids[2], ids[1])
    second = (await house.call("GET", f"/v1/files?limit=2&after={ids[1]}")).json
    assert ([each["id"] for each in second["data"]], second["has_more"]) == ([ids[0]], False)
    oldest = (await house.call("GET", "/v1/files?order=asc&limit=1")).json
    assert oldest["last_id"] == ids[0]
    for query in ("limit=0", "limit=x", "limit=" + "9" * 5000, "order=up", "after=file-0", "limit=\u0663"):
        assert (await house.call("GET", f"/v1/files?{query}")).status == 400, query


async def test_x09_anothers_file_is_not_there(house: Lobby) -> None:
    mine, other = (house.key(name).text.reveal() for name in ("mine", "other"))
    path = f"/v1/files/{(await upload(house, mine)).json['id']}"
    made_up = f"/v1/files/file-{'0' * 32}"
    for method, end in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        theirs, nowhere = [await house.call(method, place + end, key=other) for place in (path, made_up)]
        assert (theirs.status, theirs.code) == (404, "file_not_found")
        assert theirs.body.replace(path[10:].encode(), b"") == nowhere.body.replace(made_up[10:].encode(), b"")
    assert (await house.call("GET", "/v1/files", key=other)).json["data"] == []
    assert (await house.call("GET", f"{path}/content", key=mine)).body == LINES


@pytest.mark.parametrize("file_id", BAD_IDS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_x03_an_id_that_is_none_reaches_no_disk(house: Lobby, method: str, file_id: str) -> None:
    await upload(house)
    before = on_disk(house)
    answered = await house.call(method, f"/v1/files/{file_id}")
    assert (answered.status, answered.code) in ((404, "file_not_found"), (404, "not_found"))
    assert on_disk(house) == before


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "fine-tune"}, "purpose"),
        ({"purpose": ""}, "purpose"),
        ({"surprise": "1"}, "surprise"),
        ({"expires_after[seconds]": "60"}, "expires_after.seconds"),
        ({"expires_after[seconds]": "9" * 50}, "expires_after.seconds"),
        ({"expires_after[anchor]": "now"}, "expires_after.anchor"),
        ({"name": "a" * 600}, "file"),
    ],
)
async def test_what_is_wrong_is_named_and_leaves_nothing(house: Lobby, fields: dict[str, str], param: str) -> None:
    answered = await upload(house, **fields)
    assert (answered.status, answered.json["error"]["param"]) == (400, param)
    assert on_disk(house) == []


@pytest.mark.parametrize("body", [b"", b"{}", form()[:-3], form() + b"more"])
async def test_what_is_no_form_leaves_nothing(house: Lobby, body: bytes) -> None:
    for headers in (FORM, {"content-type": "application/json"}, {}):
        answered = await house.call("POST", "/v1/files", body, headers=headers)
        assert answered.code == "invalid_request", answered.body
    assert on_disk(house) == []


async def test_a_name_is_only_a_name(house: Lobby) -> None:
    for name in ("../../etc/passwd", "C:\\\\passwd", "/etc/passwd"):
        assert (await upload(house, name=name)).json["filename"] == "passwd"
    assert (await upload(house, name="..")).json["filename"] == "file"


async def test_a_file_over_its_bound_is_refused_and_not_kept(tmp_path: Path) -> None:
    async with lobby(tmp_path, "[server]\nmax_file_bytes = 1024\n") as house:
        answered = await upload(house, content=b"x" * 70_000)
        assert (answered.status, answered.code) == (413, "body_too_large")
        assert "max_file_bytes" in answered.json["error"]["message"]
        assert on_disk(house) == []


async def test_files_of_one_leave_room_for_the_others(tmp_path: Path) -> None:
    async with lobby(tmp_path, "[server]\nmax_files_bytes = 1048576\n") as house:
        greedy, other = (house.key(name).text.reveal() for name in ("greedy", "other"))
        assert (await upload(house, greedy, content=b"x" * 900_000)).status == 200
        full = await upload(house, greedy, content=b"x" * 60_000)
        assert (full.status, full.code) == (413, "storage_full")
        assert (await upload(house, other, content=b"x" * 60_000)).status == 200
        assert len(on_disk(house)) == 4


async def test_so_many_files_and_no_more(house: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_kept, "MOST_FILES", 2)
    answers = [await upload(house) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 413]
    assert answers[2].code == "storage_full"


async def test_an_old_file_is_gone_and_its_bytes_with_the_next_sweep(house: Lobby) -> None:
    brief = (await upload(house, **{"expires_after[seconds]": "3600"})).json["id"]
    kept = (await upload(house)).json["id"]
    left_over = house.runtime.engine.settings.ledger.path / "files/_/half.new"
    left_over.write_bytes(b"x")
    now_s = house.clock.time_ns() // 10**9
    os.utime(left_over, (now_s, now_s - LEFT_OVER_S - 1))
    house.clock.advance(3600)
    assert (await house.call("GET", f"/v1/files/{brief}")).status == 404
    house.gateway.files.sweep()
    assert {path.name for path in on_disk(house)} == {kept, f"{kept}.json"}
