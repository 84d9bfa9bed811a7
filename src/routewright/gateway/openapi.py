"""`/openapi.json` and `/docs`: the table of endpoints as an OpenAPI 3.1 document; `openapi_page` has it as a page."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import msgspec

from routewright.access.description import KeyTold, KeyWish
from routewright.call import Options
from routewright.gateway.batches_api import Batch
from routewright.gateway.door import Access
from routewright.gateway.files_kept import KeptFile
from routewright.gateway.http import JSON_TYPE, Request, Send, respond
from routewright.gateway.operations import OPERATIONS, WRITTEN, Operation
from routewright.route import Route
from routewright.version import running_version

Document: TypeAlias = dict[str, Any]

_REF = "#/components/schemas/{name}"
_TYPES = (KeyWish, KeyTold, Batch, KeptFile, Route)
"""What has a type here, so that its schema is made from it."""
_ROLES = {
    Access.OPEN: "open to everybody",
    Access.LOCAL: "open to this machine; from elsewhere a key with the role `read`",
    Access.USE: "a key with the role `use`",
    Access.READ: "a key with the role `read`",
    Access.ADMIN: "a key with the role `admin`",
}
_IN_UNITS = {"max_cost_nanousd": "max_cost_usd", "deadline_s": "deadline_ms"}


class Listed(Protocol):
    """What of an endpoint is told."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def access(self) -> Access: ...


class Described:
    """The two handlers. Document and page are made when somebody asks for the first time."""

    def __init__(self, endpoints: Callable[[], Iterable[Listed]]) -> None:
        self._endpoints = endpoints

    @cached_property
    def _document(self) -> Document:
        return document(self._endpoints())

    @cached_property
    def _json(self) -> bytes:
        return msgspec.json.encode(self._document)

    @cached_property
    def _page(self) -> bytes:
        from routewright.gateway.openapi_page import page

        return page(self._document).encode()

    async def json(self, request: Request, send: Send) -> None:
        """`GET /openapi.json`."""
        await respond(send, 200, [JSON_TYPE], self._json)

    async def html(self, request: Request, send: Send) -> None:
        """`GET /docs`."""
        from routewright.gateway.openapi_page import POLICY

        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        await respond(send, 200, headers, self._page)


def name_of(endpoint: Listed) -> str:
    """Method and path as the document has them: `GET /v1/files/{id}`."""
    return f"{endpoint.method} {endpoint.path.replace('**', '{name}').replace('*', '{id}')}"


def document(endpoints: Iterable[Listed]) -> Document:
    """The OpenAPI document for those endpoints that are an API; pages for people have no operation and are left out."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        method, _, path = name_of(endpoint).partition(" ")
        operation = OPERATIONS.get(f"{method} {path}")
        if operation is not None:
            paths.setdefault(path, {})[method.lower()] = _told(operation, path, endpoint.access)
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    wish = schemas["KeyWish"]
    change = {**wish, "title": "KeyChange", "description": "Any of the fields of a new key."}
    change.pop("required")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "routewright",
            "version": running_version(),
            "description": "The cheapest model that will do it well, every token accounted for. Send `model: auto`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {**WRITTEN, **schemas, "KeyChange": change},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _told(operation: Operation, path: str, access: Access) -> Document:
    types = {operation.answer_type: {"schema": _ref(operation.answer)}}
    if "stream" in WRITTEN.get(operation.body, {}).get("properties", {}) and operation.is_generation:
        types["text/event-stream"] = {"schema": _ref("Text")}
    said: Document = {
        "tags": [operation.group],
        "summary": operation.told,
        "description": f"Access: {_ROLES[access]}.",
        "security": [] if access is Access.OPEN else [{"key": []}],
        "parameters": list(_parameters(operation, path)),
        "responses": {
            str(operation.status): {"description": "As asked.", "content": types},
            "default": {
                "description": "An error; docs/errors.md has every code.",
                "content": {"application/json": {"schema": _ref(operation.errors)}},
            },
        },
    }
    if operation.body:
        content = {operation.body_type: {"schema": _ref(operation.body)}}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _parameters(operation: Operation, path: str) -> Iterable[Document]:
    text = {"type": "string"}
    for name in ("id", "name"):
        if f"{{{name}}}" in path:
            yield {"name": name, "in": "path", "required": True, "schema": text}
    for name in operation.query:
        yield {"name": name, "in": "query", "required": False, "schema": text}
    if operation.is_generation:
        for name in Options.__struct_fields__:
            header = f"x-routewright-{_IN_UNITS.get(name, name).replace('_', '-')}"
            yield {"name": header, "in": "header", "required": False, "schema": text}


def _ref(name: str) -> Mapping[str, str]:
    return {"$ref": _REF.format(name=name)}
