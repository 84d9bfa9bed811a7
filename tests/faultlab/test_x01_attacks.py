"""X01 to X06, X09, X10, X12, X16: what is sent to have the gateway do something for somebody else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from clients import chat, house

from lobby import GOOD, OPERATOR_KEY, lobby

OPERATED = '[server]\napi_key = "env:DOOR"\n'
CANARY = "canary-of-the-environment"


class Trap:
    """A server that nobody should call."""

    def __init__(self) -> None:
        self.calls = 0

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        writer.close()


async def test_x01_x02_no_field_and_no_header_names_a_destination_and_nothing_is_fetched(tmp_path: Path) -> None:
    trap = Trap()
    server = await asyncio.start_server(trap.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    names = ("api_base", "base_url", "api_url", "custom_llm_provider", "endpoint", "proxy", "webhook", "callback_url")
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": f"{url}/schema.json"}}}
    parts = [
        {"type": "text", "text": f"see {url}"},
        {"type": "image_url", "image_url": {"url": f"{url}/a.png"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
    ]
    headers = "".join(
        f"{name}: {url}\r\n" for name in ("x-portkey-custom-host", "x-api-base", "x-base-url", "x-target")
    )
    async with house(tmp_path, environ={"HTTP_PROXY": url, "http_proxy": url}) as opened:
        fields: dict[str, Any] = dict.fromkeys(names, url)
        heard = await opened.send(chat("ok", head=headers.encode(), **fields))
        assert heard.statuses == [200]
        for fields in ({"messages": [{"role": "user", "content": parts}]}, {"response_format": schema}):
            assert (await opened.send(chat("ok", **fields))).statuses == [200]
        for field in names:
            (await opened.send(chat("ok", routewright={field: url}))).refused(400, "invalid_request")
            refused = await opened.send(chat("ok", head=f"x-routewright-{field}: {url}\r\n".encode()))
            refused.refused(400, "invalid_request")
        for model in (f"{url}/v1", f"mock/{url}", f"mock@{url}", "mock/../ok", "file:///etc/passwd"):
            (await opened.send(chat(model))).refused(404, "model_not_found")
        assert len(opened.provider.bodies) == 3, "the destination that the operator named was called"
        assert opened.provider.bodies[1]["messages"][0]["content"] == parts
        assert "x-portkey" not in "".join(opened.provider.heads).lower()
    server.close()
    assert trap.calls == 0


async def test_x03_no_path_leads_around_its_endpoint(tmp_path: Path) -> None:
    paths = (
        "/v1/../admin/keys", "/v1/%2e%2e/admin/keys", "/v1/models/../../admin/keys", "//admin/keys", "/admin//keys",
        "/admin/keys/", "/admin/keys/..", "/admin/keys/%2e%2e", "/admin/keys/a%2fb", "/admin/keys/a%00b", "/ADMIN/keys",
        "/v1/models/..%2f..%2fadmin%2fkeys", "/admin/keys;x", "/admin/keys%20", "/v1/chat/completions/..", "/%61dmin/x",
    )  # fmt: skip
    async with house(tmp_path) as opened:
        opened.runtime.keyring.list()
        for path in paths:
            heard = await opened.send(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
            assert heard.statuses[0] in (400, 404, 405), path
            heard.refused(heard.statuses[0], heard.body.partition(b'"code":"')[2].partition(b'"')[0].decode())
        assert opened.provider.bodies == []


async def test_x03_nothing_that_a_caller_says_is_in_the_address_of_a_provider(tmp_path: Path) -> None:
    odd = ("../../admin", "a?b=c#d", "%2e%2e%2fadmin", "a\r\nx-evil: 1", "a b", "//evil.example/", "\u2028")
    async with house(tmp_path) as opened:
        for text in odd:
            own: dict[str, Any] = {"user": text, "tags": [text]}
            head = f"x-session-id: {text.encode().hex()}\r\nx-request-id: {text.encode().hex()}\r\n".encode()
            heard = await opened.send(chat("ok", head=head, user=text, metadata={text: text}, routewright=own))
            assert heard.statuses == [200], heard.data
            (await opened.send(chat(f"mock/ok{text}"))).refused(404, "model_not_found")
        assert len(opened.provider.heads) == len(odd)
        assert {head.partition("\r\n")[0] for head in opened.provider.heads} == {"POST /v1/chat/completions HTTP/1.1"}
        assert not [head for head in opened.provider.heads if "evil" in head.lower()]


@pytest.mark.parametrize("reference", [f"env:{CANARY}", "os.environ/DOOR", "${DOOR}", "env:DOOR", "keys:openai"])
async def test_x06_a_reference_sent_by_a_client_is_only_text(tmp_path: Path, reference: str) -> None:
    async with lobby(tmp_path, OPERATED, {"DOOR": OPERATOR_KEY}) as house:
        made = await house.call("POST", "/admin/keys", {"name": reference, "tags": [reference]}, key=OPERATOR_KEY)
        assert made.status == 201
        shown = await house.call("GET", "/admin/keys", key=OPERATOR_KEY)
        assert OPERATOR_KEY not in (made.body + shown.body).decode()
        assert made.json["name"] == reference
        asked = await house.ask(OPERATOR_KEY, messages=[{"role": "user", "content": reference}])
        assert OPERATOR_KEY not in asked.body.decode()
        assert (await house.ask(reference)).status == 401


async def test_x04_sql_in_a_model_a_tag_or_an_id_is_only_text(tmp_path: Path) -> None:
    async with lobby(tmp_path, OPERATED, {"DOOR": OPERATOR_KEY}) as house:
        for text in ("'; DROP TABLE requests; --", '" OR 1=1', "%s%n{0}", "a'||'b"):
            assert (await house.ask(OPERATOR_KEY, model=text)).code == "model_not_found"
            tagged = await house.ask(OPERATOR_KEY, routewright={"tags": [text], "user": text})
            assert tagged.status == 200
            told = {"request_id": text, "good": True}
            assert (await house.call("POST", "/v1/feedback", told, key=OPERATOR_KEY)).status == 400
            assert (await house.call("GET", "/metrics", key=OPERATOR_KEY)).status == 200


async def test_x09_a_key_sees_and_changes_nothing_of_another(tmp_path: Path) -> None:
    async with lobby(tmp_path, OPERATED, {"DOOR": OPERATOR_KEY}) as house:
        mine, other = house.key("mine").text.reveal(), house.key("other", models=["plain"])
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
            refused = await house.call(method, f"/admin/keys/{other.key.id}{path}", {}, key=mine)
            assert (refused.status, refused.code) == (403, "permission_denied")
        known, unknown = [
            (await house.call("GET", f"/v1/models/{name}", key=other.text.reveal())).body for name in ("strong", "no")
        ]
        assert known.replace(b"strong", b"no") == unknown, "what it may not use does not exist for it"


async def test_x10_callers_with_one_idempotency_key_do_not_get_each_others_answers(tmp_path: Path) -> None:
    async with lobby(tmp_path, OPERATED, {"DOOR": OPERATOR_KEY}) as house:
        keys = [house.key(name).text.reveal() for name in ("a", "a:b", "b")]
        names = ("one", "b:one", "x" * 255, "x" * 254)
        ids = [
            (await house.ask(key, headers={"idempotency-key": name})).headers["x-routewright-request-id"]
            for key in keys
            for name in names
        ]
        assert len(set(ids)) == len(keys) * len(names)
        again = await house.ask(keys[0], headers={"idempotency-key": "one"})
        assert (again.headers["x-routewright-request-id"], again.headers["x-routewright-replayed"]) == (ids[0], "1")


async def test_x12_a_web_page_of_somebody_else_is_refused_on_loopback(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        assert house.runtime.engine.settings.server.host == "127.0.0.1"
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1.evil.net"},
        ):
            refused = await house.ask(headers=headers)
            assert (refused.status, refused.code) == (403, "foreign_origin")
            assert "access-control-allow-origin" not in refused.headers
        rebound = await house.call("GET", "/v1/models", raw_headers=((b"host", b"evil.example"),))
        assert (rebound.status, rebound.code) == (403, "foreign_origin")
        assert (await house.ask(headers={"origin": "http://localhost:3000"})).status == 200


async def test_x16_attributes_are_taken_by_name_and_never_merged(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        for name in ("__proto__", "__class__", "constructor", "tenant", "key", "team", "roles", "engine"):
            refused = await house.ask(routewright={name: {"roles": ["admin"]}})
            assert (refused.status, refused.code) == (400, "invalid_request")
            body = {**GOOD, name: {"roles": ["admin"]}}
            assert (await house.call("POST", "/v1/chat/completions", body)).status == 200
        assert (await house.call("POST", "/admin/keys", {"name": "x"})).status == 401
        for tags in (["x"] * 33, ["x" * 201], [""], [{"a": 1}]):
            assert (await house.ask(routewright={"tags": tags})).code == "invalid_request"


async def test_x16_what_a_caller_names_is_bounded_wherever_it_is_kept_or_told(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    async with lobby(tmp_path) as house:
        opinion = {"request_id": "01981234-5678-7abc-8def-0123456789ab", "good": True}
        refused = [
            await house.ask(model=long),
            await house.ask(routewright={"user": long}),
            await house.ask(routewright={long: 1}),
            await house.ask(headers={"x-routewright-user": "x" * 257}),
            await house.call("POST", "/v1/feedback", {**opinion, "model": long}),
            await house.call("POST", "/v1/feedback", {**opinion, long: 1}),
            await house.call("GET", f"/v1/models/{long}"),
        ]
        assert [answered.status for answered in refused] == [400, 400, 400, 400, 404, 400, 404]
        assert max(len(answered.body) for answered in refused) < 2_000
        for_the_provider = {**GOOD, "routewright": {"user": "x" * 256}, long: 1}
        assert (await house.call("POST", "/v1/chat/completions", for_the_provider)).status == 200
        await house.runtime.flush()
        rows = list(house.runtime.store.database.read("SELECT requested_model, user FROM requests"))
        assert max(len(value or "") for row in rows for value in row.values()) == 256


async def test_x02_a_schema_or_an_image_is_sent_on_as_it_is(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        schema = {"$ref": "http://169.254.169.254/latest/meta-data"}
        tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
        heard = await opened.send(chat("ok", tools=[tool]))
        assert heard.statuses == [200]
        assert opened.provider.bodies[0]["tools"][0]["function"]["parameters"] == schema
