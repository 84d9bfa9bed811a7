"""`/v1/batches`: from a file to its answers, whose they are, what is refused, and how one is given up."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lobby import Answered, Lobby, lobby
from routewright.gateway import batches_kept
from routewright.gateway.batches_kept import KeptBatches
from routewright.gateway.files_kept import KEPT_S
from routewright.jobs.job import Job, JobState

CHAT = "/v1/chat/completions"
BAD_IDS = ("../x", "batch_..", "batch_" + "0" * 31, "batch_" + "Z" * 32, "file-" + "0" * 32, "%2e%2e%2f", "b" * 5000)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    words = (
        {"input": "Hi"} if url == "/v1/responses" else {"messages": [{"role": "user", "content": f"Hi {custom_id}"}]}
    )
    body = {"model": "auto", "max_tokens": 20, **words, **body}
    if url == "/v1/responses":
        del body["max_tokens"]
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


async def upload(house: Lobby, *lines: object, key: str | None = None) -> str:
    content = b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in lines)
    form = (
        b'--XX\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + content + b"\r\n--XX--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=XX"}
    file_id: str = (await house.call("POST", "/v1/files", form, key=key, headers=headers)).json["id"]
    return file_id


async def create(house: Lobby, file_id: str, *, key: str | None = None, **fields: object) -> Answered:
    wish = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **fields}
    return await house.call("POST", "/v1/batches", wish, key=key)


async def work(house: Lobby) -> None:
    """Until nothing is left that can be done now."""
    await house.gateway.batch_work.look()
    await house.gateway.batch_work.idle()


async def run(house: Lobby, *lines: object, key: str | None = None, **fields: object) -> dict[str, Any]:
    """A batch of these lines, when it is over."""
    batch = (await create(house, await upload(house, *lines, key=key), key=key, **fields)).json
    await work(house)
    found: dict[str, Any] = (await house.call("GET", f"/v1/batches/{batch['id']}", key=key)).json
    return found


async def lines_of(house: Lobby, file_id: str, key: str | None = None) -> dict[str, Any]:
    content = (await house.call("GET", f"/v1/files/{file_id}/content", key=key)).body
    return {found["custom_id"]: found for found in map(json.loads, content.splitlines())}


async def test_a_batch_is_answered_and_its_files_are_the_clients(house: Lobby) -> None:
    file_id = await upload(house, line("a"), line("b", model="no-such-model"), line("c", model="strong"))
    made = (await create(house, file_id, metadata={"night": "1"})).json
    assert (made["object"], made["status"], made["input_file_id"]) == ("batch", "validating", file_id)
    assert made["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert made["expires_at"] == made["created_at"] + 86_400
    assert (await house.call("DELETE", f"/v1/files/{file_id}")).status == 200, "it has its own name of the file"
    await work(house)
    batch = (await house.call("GET", f"/v1/batches/{made['id']}")).json
    assert (batch["status"], batch["metadata"]) == ("completed", {"night": "1"})
    assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert batch["completed_at"] is not None
    answers = await lines_of(house, batch["output_file_id"])
    assert answers.keys() == {"a", "c"}
    response = answers["c"]["response"]
    assert (response["status_code"], response["body"]["model"]) == (200, "strong")
    assert response["body"]["choices"][0]["message"]["content"]
    failures = await lines_of(house, batch["error_file_id"])
    assert failures["b"]["response"]["body"]["error"]["code"] == "model_not_found"
    told = (await house.call("GET", f"/v1/files/{batch['output_file_id']}")).json
    assert told["purpose"] == "batch_output"
    assert (await house.call("GET", "/v1/batches")).json["data"] == [batch]


@pytest.mark.parametrize("url", ["/v1/responses", "/v1/messages"])
async def test_every_dialect_can_be_asked_in(house: Lobby, url: str) -> None:
    batch = await run(house, line("a", url), endpoint=url)
    assert batch["status"] == "completed"
    body = (await lines_of(house, batch["output_file_id"]))["a"]["response"]["body"]
    assert body["output" if url == "/v1/responses" else "content"]


async def test_it_is_its_key_that_pays_and_is_limited(house: Lobby) -> None:
    issued = house.key("app", models=["plain"], team="night")
    key = issued.text.reveal()
    batch = await run(house, line("a", model="plain"), line("b", model="strong"), key=key)
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    await house.runtime.flush()
    rows = house.runtime.store.database.read("SELECT key, team, outcome FROM requests ORDER BY outcome")
    assert [(row["key"], row["team"], row["outcome"]) for row in rows] == [
        (issued.key.id, "night", "complete"),
        (issued.key.id, "night", "model_not_found"),
    ]


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([b""], "empty_file", None),
        ([line("a"), b"{\n"], "invalid_json_line", 2),
        ([b"[]\n"], "invalid_json_line", 1),
        ([line("a", "/v1/responses")], "mismatched_endpoint", 1),
        ([line("a") | {"method": "GET"}], "invalid_request", 1),
        ([line("a") | {"custom_id": 7}], "invalid_request", 1),
        ([line("a") | {"body": "x"}], "invalid_request", 1),
        ([line("a", stream=True)], "invalid_request", 1),
        ([line("a"), line("a")], "invalid_input", None),
    ],
)
async def test_a_file_that_is_wrong_fails_whole_and_asks_nothing(
    house: Lobby, lines: list[object], code: str, number: int | None
) -> None:
    batch = await run(house, *lines)
    assert (batch["status"], batch["output_file_id"], batch["error_file_id"]) == ("failed", None, None)
    assert batch["errors"]["object"] == "list"
    assert [(each["code"], each["line"]) for each in batch["errors"]["data"]] == [(code, number)]
    assert batch["failed_at"] is not None
    await house.runtime.flush()
    assert house.runtime.store.database.read("SELECT * FROM requests") == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/images"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": 7}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after.anchor"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "created_at"}}, "output_expires_after.seconds"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_wish_that_is_wrong_is_named(house: Lobby, fields: dict[str, Any], param: str) -> None:
    answered = await create(house, await upload(house, line("a")), **fields)
    assert (answered.status, answered.json["error"]["param"]) == (400, param)
    assert (await house.call("GET", "/v1/batches")).json["data"] == []


async def test_a_file_that_is_not_there_or_not_for_batches_makes_none(house: Lobby) -> None:
    batch = await run(house, line("a"))
    for file_id in (f"file-{'0' * 32}", "../../etc/passwd"):
        answered = await create(house, file_id)
        assert (answered.status, answered.code, answered.json["error"]["param"]) == (
            404, "file_not_found", "input_file_id",
        )  # fmt: skip
    answered = await create(house, batch["output_file_id"])
    assert (answered.status, answered.json["error"]["param"]) == (400, "input_file_id")


async def test_x09_anothers_batch_and_file_are_not_there(house: Lobby) -> None:
    mine, other = (house.key(name).text.reveal() for name in ("mine", "other"))
    file_id = await upload(house, line("a"), key=mine)
    batch = await run(house, line("a"), key=mine)
    made_up = f"batch_{'0' * 32}"
    for method, end in (("GET", ""), ("POST", "/cancel")):
        theirs = await house.call(method, f"/v1/batches/{batch['id']}{end}", key=other)
        nowhere = await house.call(method, f"/v1/batches/{made_up}{end}", key=other)
        assert (theirs.status, theirs.code) == (404, "batch_not_found")
        assert theirs.body.replace(batch["id"].encode(), b"") == nowhere.body.replace(made_up.encode(), b"")
    assert (await house.call("GET", "/v1/batches", key=other)).json["data"] == []
    assert (await house.call("GET", f"/v1/batches?after={batch['id']}", key=other)).status == 400
    assert (await create(house, file_id, key=other)).status == 404
    assert (await house.call("GET", f"/v1/files/{batch['output_file_id']}/content", key=other)).status == 404
    assert (await house.call("GET", f"/v1/files/{batch['output_file_id']}/content", key=mine)).status == 200


@pytest.mark.parametrize("batch_id", BAD_IDS)
async def test_x03_an_id_that_is_none_is_not_looked_for(house: Lobby, batch_id: str) -> None:
    for method, end in (("GET", ""), ("POST", "/cancel")):
        answered = await house.call(method, f"/v1/batches/{batch_id}{end}")
        assert (answered.status, answered.code) in ((404, "batch_not_found"), (404, "not_found"))


async def test_a_batch_can_be_cancelled_until_it_is_over(house: Lobby) -> None:
    made = (await create(house, await upload(house, line("a")))).json
    path = f"/v1/batches/{made['id']}/cancel"
    assert (await house.call("POST", path)).json["status"] == "cancelling"
    await work(house)
    batch = (await house.call("GET", f"/v1/batches/{made['id']}")).json
    assert (batch["status"], batch["request_counts"]["completed"]) == ("cancelled", 0)
    again = await house.call("POST", f"/v1/batches/{(await run(house, line('a')))['id']}/cancel")
    assert (again.status, again.code) == (409, "batch_refused")


async def test_a_batch_that_is_worked_on_is_cancelled_with_what_it_has(house: Lobby) -> None:
    made = (await create(house, await upload(house, line("a"), line("b")))).json
    job = house.gateway.batch_work.kept.find("", made["id"])
    job = house.gateway.batch_work.kept.jobs.move(job, JobState.IN_PROGRESS, at_ns=house.clock.time_ns())
    cancelling = (await house.call("POST", f"/v1/batches/{made['id']}/cancel")).json
    assert cancelling["status"] == "cancelling"
    await work(house)
    assert (await house.call("GET", f"/v1/batches/{made['id']}")).json["status"] == "cancelled"


async def test_what_a_revoked_key_left_is_cancelled(house: Lobby) -> None:
    issued, other = house.key("gone"), house.key("other").text.reveal()
    made = (
        await create(house, await upload(house, line("a"), key=issued.text.reveal()), key=issued.text.reveal())
    ).json
    house.runtime.keyring.revoke(issued.key.id)
    house.runtime.directory.refresh()
    await work(house)
    job = house.gateway.batch_work.kept.find(issued.key.id, made["id"])
    assert job.state is JobState.CANCELLED
    assert (await run(house, line("a"), key=other))["status"] == "completed"


async def test_another_gateway_goes_on_where_one_ended(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        made = (await create(house, await upload(house, line("a"), line("b")))).json
    async with lobby(tmp_path) as house:
        await work(house)
        batch = (await house.call("GET", f"/v1/batches/{made['id']}")).json
        assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}


def deliver_all_but_the_last_step(kept: KeptBatches, job: Job) -> None:
    """As if the gateway died then."""
    source = Path(job.source)
    content = source.read_bytes()
    kept.deliver(job)
    source.write_bytes(content)


async def test_a_crash_while_files_are_delivered_delivers_them_once(
    house: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await create(house, await upload(house, line("a")))).json
    kept = house.gateway.batch_work.kept
    with monkeypatch.context() as patch:
        patch.setattr(kept, "deliver", lambda job: None)
        await work(house)
    undelivered = (await house.call("GET", f"/v1/batches/{made['id']}")).json
    assert (undelivered["status"], undelivered["output_file_id"]) == ("finalizing", None)
    deliver_all_but_the_last_step(kept, kept.find("", made["id"]))
    await work(house)
    batch = (await house.call("GET", f"/v1/batches/{made['id']}")).json
    assert batch["status"] == "completed"
    assert (await lines_of(house, batch["output_file_id"])).keys() == {"a"}
    purposes = [each["purpose"] for each in (await house.call("GET", "/v1/files")).json["data"]]
    assert sorted(purposes) == ["batch", "batch_output"]


async def test_a_list_of_batches_goes_on_after_one(house: Lobby) -> None:
    file_id = await upload(house, line("a"))
    ids = []
    for _ in range(3):
        ids.append((await create(house, file_id)).json["id"])
        house.clock.advance(1)
    first = (await house.call("GET", "/v1/batches?limit=2")).json
    assert ([each["id"] for each in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    second = (await house.call("GET", f"/v1/batches?after={ids[1]}")).json
    assert ([each["id"] for each in second["data"]], second["has_more"]) == ([ids[0]], False)
    for query in ("limit=101", "limit=-1", "after=batch_0", "after=" + "x" * 300):
        assert (await house.call("GET", f"/v1/batches?{query}")).status == 400, query


async def test_so_many_batches_wait_and_no_more(house: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_kept, "MOST_OPEN", 2)
    file_id = await upload(house, line("a"))
    answers = [await create(house, file_id) for _ in range(3)]
    assert [(answer.status) for answer in answers] == [200, 200, 413]
    assert answers[2].code == "storage_full"
    for _ in range(2):
        await work(house)
    assert (await create(house, file_id)).status == 200


async def test_what_is_old_goes(house: Lobby) -> None:
    batch = await run(house, line("a"))
    folder = house.runtime.engine.settings.ledger.path / "batches" / batch["id"]
    assert folder.exists()
    house.clock.advance(10 * KEPT_S)
    house.gateway.batch_work.kept.sweep()
    assert not folder.exists()
    assert (await house.call("GET", f"/v1/batches/{batch['id']}")).json["status"] == "completed"
