"""Who gets in: every endpoint with every kind of key, and every kind of key that is none.

`ROUTEWRIGHT_KEYS=100000` in the environment makes up so many keys instead of ten thousand.
"""

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lobby import GOOD, OPERATOR_KEY, Answered, Lobby, lobby
from routewright.access.format import new_id, write_key
from routewright.gateway.app import Endpoint
from routewright.gateway.door import Access
from routewright.policies.overlay import NOTHING
from routewright.settings import load_settings

OPERATED = '[server]\napi_key = "env:DOOR"\n'
VECTORS = '[models.vectors]\nembedding = true\ndeployments = ["acme/vectors"]\nprice = { input = "1", output = "0" }\n'
A_FORM = (
    b'--XX\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n{}\r\n--XX--\r\n'
)
FORM = {"content-type": "multipart/form-data; boundary=XX"}
ENVIRON = {"DOOR": OPERATOR_KEY}
BODIES = {
    "/v1/chat/completions": GOOD,
    "/v1/responses": {"model": "auto", "input": "Hi"},
    "/v1/embeddings": {"model": "vectors", "input": "Hi"},
    "/v1/messages": GOOD,
    "/v1/messages/count_tokens": GOOD,
    "/v1/route": GOOD,
    "/admin/keys": {"name": "made by the test"},
    "/admin/policies": {"name": "trial"},
}
MADE_UP_KEYS = int(os.environ.get("ROUTEWRIGHT_KEYS", "10000"))
KINDS = ("none", "wrong", "use", "read", "admin", "operator")
ENTRY = {
    Access.OPEN: set(KINDS),
    Access.LOCAL: set(KINDS),
    Access.USE: {"use", "operator"},
    Access.READ: {"read", "admin", "operator"},
    Access.ADMIN: {"admin", "operator"},
    Access.SEE: {"none", "read", "admin", "operator"},  # on this machine
    Access.SAY: {"use", "admin", "operator"},
    Access.ACT: {"admin", "operator"},
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path, OPERATED + VECTORS, ENVIRON) as opened:
        yield opened


def key_of(house: Lobby, kind: str) -> str | None:
    if kind == "none":
        return None
    if kind == "wrong":
        return write_key(new_id(b"0" * 16), b"1" * 32)
    return OPERATOR_KEY if kind == "operator" else house.key(kind, roles=[kind]).text.reveal()


async def reach(house: Lobby, endpoint: Endpoint, key: str | None) -> Answered:
    path = endpoint.path.replace("/**", "/swift")
    wish = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    if path.startswith("/v1/responses/"):
        answered = await house.call("POST", "/v1/responses", BODIES["/v1/responses"], key=key)
        path = path.replace("*", answered.json.get("id", "resp_1"))
    if path == "/v1/feedback":
        answered = await house.call("POST", "/v1/messages", GOOD, key=key)
        opinion = {"request_id": answered.headers.get("x-routewright-request-id"), "good": True}
        return await house.call("POST", path, opinion, key=key)
    if path.startswith(("/v1/files", "/v1/batches")):
        sent = await house.call("POST", "/v1/files", A_FORM, key=key, headers=FORM)
        wish["input_file_id"] = file_id = sent.json.get("id", f"file-{'0' * 32}")
        if path == "/v1/files" and endpoint.method == "POST":
            return sent
        if path.startswith("/v1/batches/"):
            file_id = (await house.call("POST", "/v1/batches", wish, key=key)).json.get("id", f"batch_{'0' * 32}")
        path = path.replace("*", file_id)
    if path.startswith("/admin/policies/"):
        house.runtime.policies.store.apply("trial", NOTHING, author="the test")
        path = path.replace("*", "trial")
    if "*" in path:
        path = path.replace("*", house.key("target").key.id)
    if path.endswith("/tail"):
        path += "?unknown=1"  # it would go on
    if (endpoint.method, path) == ("PATCH", "/admin/policies"):
        return await house.call("PATCH", path, {"enabled": True}, key=key)
    body = wish if path == "/v1/batches" else BODIES.get(path, {} if endpoint.method in ("POST", "PATCH") else None)
    return await house.call(endpoint.method, path, body, key=key)


@pytest.mark.parametrize("kind", KINDS)
async def test_x07_x08_every_endpoint_lets_in_whom_it_should_and_nobody_else(house: Lobby, kind: str) -> None:
    key = key_of(house, kind)
    assert len(house.gateway.endpoints) >= 18
    for endpoint in house.gateway.endpoints:
        answered = await reach(house, endpoint, key)
        place = f"{endpoint.method} {endpoint.path}"
        assert answered.headers["x-request-id"], place
        if endpoint.path.startswith("/ui"):
            is_form = endpoint.access is Access.OPEN and b"E148" in answered.body  # let in, and no form of our page
            outcome = "out" if answered.status in (401, 403) and not is_form else "in"
            assert outcome == ("in" if kind in ENTRY[endpoint.access] else "out"), place
            continue
        if kind in ENTRY[endpoint.access]:
            assert answered.status in (200, 201, 202), place
        elif kind in ("none", "wrong"):
            assert (answered.status, answered.code) == (401, "invalid_api_key"), place
        else:
            assert (answered.status, answered.code) == (403, "permission_denied"), place


def test_x08_an_endpoint_that_does_not_say_who_may_call_it_cannot_be_made() -> None:
    async def handler(*_: object) -> None:
        """Nothing."""

    with pytest.raises(TypeError):
        Endpoint("GET", "/debug", None, handler)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Endpoint("GET", "/debug", handler=handler)  # type: ignore[call-arg]


async def test_c11_x15_every_bad_key_gets_one_and_the_same_answer(house: Lobby) -> None:
    good = house.key().text.reveal()
    revoked, expired = house.key(), house.key(expires_at="2027-01-15T08:00:01Z").text.reveal()
    early = house.key(not_before="2027-06-01T00:00:00Z").text.reveal()
    house.runtime.keyring.revoke(revoked.key.id)
    house.runtime.directory.refresh()
    house.clock.advance(1)
    typo = good[:20] + ("x" if good[20] != "x" else "y") + good[21:]
    other_secret = write_key(revoked.key.id, b"2" * 32)
    bad: list[tuple[tuple[bytes, bytes], ...]] = [
        (),
        ((b"authorization", b""),),
        ((b"authorization", b"Bearer"),),
        ((b"authorization", f"Basic {good}".encode()),),
        ((b"authorization", good.encode()),),
        ((b"authorization", f"Bearer {good}".encode()), (b"authorization", f"Bearer {good}".encode())),
        ((b"authorization", f"Bearer {good}".encode()), (b"authorization", b"Bearer other")),
        ((b"x-api-key", good.encode()), (b"x-api-key", good.encode())),
        ((b"authorization", f"Bearer {good}".encode()), (b"x-api-key", b"another")),
    ]
    bad += [
        ((b"authorization", b"Bearer " + text.encode("latin-1")),)
        for text in (
            revoked.text.reveal(),
            expired,
            early,
            typo,
            other_secret,
            good[:-1],
            good + " ",
            f"{good},{good}",
            "' OR '1'='1",
            "\xfc" * 63,
            "x" * 60_000,
        )
    ]
    answers = [await house.call("GET", "/v1/models", raw_headers=headers) for headers in bad]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    ids = [answer.headers.pop("x-request-id") for answer in answers]
    for name in ("request-id", "x-routewright-request-id"):
        assert [answer.headers.pop(name) for answer in answers] == ids
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1
    assert answers[0].code == "invalid_api_key"
    assert (await house.call("GET", "/v1/models", key=good)).status == 200
    assert (await house.call("GET", "/v1/models", headers={"x-api-key": good})).status == 200
    assert (await house.call("GET", f"/v1/models?key={good}")).status in (401, 404)


INJECTIONS = (
    "' OR '1'='1", "'; DROP TABLE virtual_keys; --", "1 UNION SELECT hash FROM virtual_keys", "%' OR id LIKE '%",
    "${jndi:ldap://x}", "{{7*7}}", "%s%n%x", "../../etc/passwd", "$(id)", "`id`", "\\x00", "\x00", "os.environ/DOOR",
    "env:DOOR", "*", "null", "true", "[object Object]", "\u202e", "é" * 100, "a" * 8000, "-1", "0", "NaN", "Bearer",
    "Bearer Bearer x", '{"$gt":""}', "*)(uid=*))(|(uid=*",
)  # fmt: skip


def _without_id(answered: Answered) -> bytes:
    """The body, but for the request's own id, which some dialects say in it."""
    return answered.body.replace(answered.headers["x-routewright-request-id"].encode(), b"ID")


async def test_c12_an_injection_in_a_key_is_a_wrong_key_at_every_endpoint(house: Lobby) -> None:
    good = house.key().text.reveal()
    texts = [*INJECTIONS, *(good + text for text in INJECTIONS), *(good[:14] + text for text in INJECTIONS)]
    seen = 0
    for endpoint in house.gateway.endpoints:
        if endpoint.access in (Access.OPEN, Access.LOCAL):
            continue
        path = endpoint.path.replace("/**", "/swift").replace("*", "anything")
        unknown = await house.call(endpoint.method, path, {}, key=write_key(new_id(b"0" * 16), b"1" * 32))
        expected = _without_id(unknown)
        for text in texts:
            sent = ((b"authorization", b"Bearer " + text.encode()),)
            answered = await house.call(endpoint.method, path, {}, raw_headers=sent)
            assert (answered.status, _without_id(answered)) == (401, expected), (path, text)
            seen += 1
    assert seen > 800
    assert (await house.call("GET", "/v1/models", key=good)).status == 200, "and the keys are still there"


async def test_c12_thousands_of_made_up_keys_open_nothing_and_break_nothing(house: Lobby) -> None:
    real = house.key().key.id
    chance = random.Random(12)
    alphabet = "".join(map(chr, range(1, 256)))
    statuses = set()
    for number in range(MADE_UP_KEYS):
        match number % 5:
            case 0:
                text = "".join(chance.choices(alphabet, k=chance.randrange(100)))
            case 1:
                text = write_key(new_id(chance.randbytes(16)), chance.randbytes(32))
            case 2:
                text = write_key(real, chance.randbytes(32))
            case 3:
                text = chance.choice(INJECTIONS) + chance.choice(("", real, write_key(real, chance.randbytes(32))))
            case _:
                text = "rw-" + "".join(chance.choices("0123456789abcXYZ-'\";\\%", k=60))
        answered = await house.call("GET", "/v1/models", raw_headers=((b"authorization", f"Bearer {text}".encode()),))
        statuses.add(answered.status)
    assert statuses == {401}


async def test_c13_nothing_else_in_a_request_says_who_pays(house: Lobby) -> None:
    issued = house.key(tags=["mine"])
    forged = {
        "x-request-id": "forged",
        "x-attempt-id": "forged",
        "x-forwarded-for": "127.0.0.1",
        "x-routewright-user": "boss",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "host": "x/..?#",
    }
    before = await house.call("GET", "/v1/models", headers=forged)
    assert before.status == 401
    ids = {
        (await house.ask(issued.text.reveal(), headers=forged, user="boss")).headers["x-routewright-request-id"]
        for _ in range(2)
    }
    assert len(ids) == 2
    for field in ("tenant", "key"):
        refused = await house.ask(issued.text.reveal(), routewright={field: "other"})
        assert (refused.status, refused.code) == (400, "invalid_request")


async def test_without_any_key_this_machine_is_served_and_can_change_nothing(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        assert (await house.ask()).status == 200
        assert (await house.ask("whatever a client sends")).status == 200
        assert (await house.call("GET", "/admin/keys")).json["data"] == []
        refused = await house.call("POST", "/admin/keys", {"name": "mine", "roles": ["admin"]})
        assert (refused.status, refused.code) == (401, "invalid_api_key")
        foreign = await house.call("GET", "/v1/models", headers={"origin": "https://evil.example"})
        assert (foreign.status, foreign.code) == (403, "foreign_origin")


async def test_from_the_first_key_on_nobody_is_served_without_one(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        issued = house.key()
        assert (await house.ask()).status == 401
        assert (await house.ask(issued.text.reveal())).status == 200
        house.runtime.keyring.revoke(issued.key.id)
        house.runtime.directory.refresh()
        assert (await house.ask()).status == 401
        assert (await house.ask(issued.text.reveal())).status == 401


async def test_an_open_address_needs_a_key_and_a_virtual_one_will_do(tmp_path: Path) -> None:
    from routewright.errors import SettingsError

    open_address = '[server]\nhost = "0.0.0.0"\n'
    with pytest.raises(SettingsError, match=r'server\.host: "0\.0\.0\.0" is open to other machines'):
        async with lobby(tmp_path, open_address):
            raise AssertionError
    async with lobby(tmp_path) as house:
        key = house.key().text.reveal()
    async with lobby(tmp_path, open_address) as house:
        assert (await house.ask(key)).status == 200
        assert (await house.ask()).status == 401
        assert (await house.call("GET", "/metrics")).status == 401


async def test_settings_that_take_the_last_key_from_an_open_address_are_not_taken_over(tmp_path: Path) -> None:
    open_address = '[server]\nhost = "0.0.0.0"\n'
    async with lobby(tmp_path, f'{open_address}api_key = "env:DOOR"\n', ENVIRON) as house:
        (tmp_path / "routewright.toml").write_text(open_address)
        house.runtime.reload()
        assert "is open to other machines" in (house.runtime.engine.settings_error or "")
        assert (await house.ask()).status == 401
        (tmp_path / "routewright.toml").write_text('[server]\nhost = "127.0.0.1"\n[models.swift]\nenabled = true\n')
        settings = load_settings(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
        house.runtime.engine.adopt(settings, house.runtime.engine.registry)
        assert (await house.ask()).status == 401  # it listens where it listened before


async def test_a_metered_key_waits_when_the_database_is_silent(house: Lobby) -> None:
    metered = house.key(budgets=[{"limit_usd": "1", "period": "day"}]).text.reveal()
    assert (await house.call("GET", "/v1/models", key=metered)).status == 200
    house.clock.advance(61)
    refused = await house.call("GET", "/v1/models", key=metered)
    assert (refused.status, refused.code) == (503, "access_unavailable")
    assert (await house.call("GET", "/v1/models", key=OPERATOR_KEY)).status == 200
