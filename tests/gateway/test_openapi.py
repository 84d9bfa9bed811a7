import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from lobby import OPERATOR_KEY, Lobby, lobby, standing
from routewright.gateway.openapi import name_of
from routewright.gateway.operations import OPERATIONS

ASKED: tuple[tuple[str, str, object], ...] = (
    ("POST /v1/chat/completions", "/v1/chat/completions", "chat"),
    ("POST /v1/responses", "/v1/responses", {"model": "auto", "input": "Hi"}),
    ("POST /v1/messages", "/v1/messages", "chat"),
    ("POST /v1/messages/count_tokens", "/v1/messages/count_tokens", "chat"),
    ("POST /v1/route", "/v1/route", "chat"),
    ("GET /v1/models", "/v1/models", None),
    ("GET /v1/models/{name}", "/v1/models/acme/swift", None),
    ("GET /v1/files", "/v1/files", None),
    ("GET /v1/batches", "/v1/batches", None),
    ("GET /admin/keys", "/admin/keys", None),
    ("POST /admin/keys", "/admin/keys", {"name": "b", "budgets": [{"limit_usd": "1", "period": "day"}]}),
    ("GET /admin/budgets", "/admin/budgets", None),
    ("GET /admin/policies", "/admin/policies", None),
    ("PATCH /admin/policies", "/admin/policies", {"enabled": True}),
    ("GET /healthz", "/healthz", None),
    ("GET /readyz", "/readyz", None),
    ("GET /openapi.json", "/openapi.json", None),
)
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}


async def told(house: Lobby) -> Any:
    answer = await house.call("GET", "/openapi.json")
    assert answer.status == 200
    return answer.json


def checker(document: Any, schema: Any) -> Any:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for below in value.values() for each in references(below)]
    return [each for below in value for each in references(below)] if isinstance(value, list) else []


async def test_the_document_has_every_endpoint_that_is_an_api_and_no_other(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        document = await told(house)
        served = {name_of(endpoint) for endpoint in house.gateway.endpoints if not endpoint.path.startswith("/ui")}
    listed = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert served == listed == OPERATIONS.keys()


async def test_every_reference_leads_somewhere_and_every_schema_is_one(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        document = await told(house)
    schemas = document["components"]["schemas"]
    used = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert used <= schemas.keys()
    assert schemas.keys() - used == set()
    for schema in schemas.values():
        checker(document, schema)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            placed = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert placed == set(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize(("name", "path", "body"), ASKED, ids=[name for name, _, _ in ASKED])
async def test_an_answer_has_the_shape_that_is_told_and_so_had_the_question(
    tmp_path: Path, name: str, path: str, body: object
) -> None:
    asked = CHAT if body == "chat" else body
    async with lobby(tmp_path, '[server]\napi_key = "env:OPERATOR"\n', {"OPERATOR": OPERATOR_KEY}) as house:
        house.budgets = [standing("month")]
        document = await told(house)
        method, _, address = name.partition(" ")
        answer = await house.call(method, path, asked, key=OPERATOR_KEY)
    operation = document["paths"][address][method.lower()]
    shape = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
    checker(document, shape).validate(answer.json)
    if asked is not None:
        checker(document, operation["requestBody"]["content"]["application/json"]["schema"]).validate(asked)


@pytest.mark.parametrize(("path", "shape"), [("/v1/chat/completions", "Error"), ("/v1/messages", "AnthropicError")])
async def test_an_error_has_the_shape_that_is_told(tmp_path: Path, path: str, shape: str) -> None:
    async with lobby(tmp_path) as house:
        document = await told(house)
        answer = await house.call("POST", path, {"model": "nobody", "messages": []})
    assert answer.status == 400
    checker(document, document["components"]["schemas"][shape]).validate(answer.json)
    assert not checker(document, document["components"]["schemas"][shape]).is_valid({"error": "no"})


async def test_who_may_call_is_told_of_each(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        paths = (await told(house))["paths"]
    assert paths["/healthz"]["get"]["security"] == []
    assert paths["/v1/models"]["get"]["security"] == [{"key": []}]
    assert "`admin`" in paths["/admin/keys"]["post"]["description"]


async def test_the_wishes_are_those_that_the_gateway_takes(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        document = await told(house)
        named = document["components"]["schemas"]["Wishes"]["properties"]
        answer = await house.ask(routewright={"wish": 1})
    assert answer.json["error"]["message"].startswith("routewright.wish is not an option")
    taken = re.search(r"there are ([a-z_, ]+)", answer.body.decode())
    assert taken is not None
    assert set(taken[1].strip().split(", ")) == named.keys()


class Page(HTMLParser):
    """What a page would load or run, and the places in it that are linked and that are there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag in ("script", "img", "iframe", "link") or any(name.startswith("on") or name == "style" for name in said):
            self.loads.append(tag)
        if tag == "a":
            self.links.add(said["href"] or "")
        self.places.add(f"#{said.get('id')}")


async def test_the_page_is_whole_by_itself_and_runs_nothing(tmp_path: Path) -> None:
    async with lobby(tmp_path) as house:
        answer = await house.call("GET", "/docs")
    page = Page(answer.body.decode())
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert page.loads == []
    assert page.links - page.places == {"/openapi.json"}
    for name in OPERATIONS:
        assert f"<b>{name.partition(' ')[0]}</b> <code>{name.partition(' ')[2]}</code>" in answer.body.decode()
