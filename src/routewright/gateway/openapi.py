"""`/openapi.json` and `/docs`: the table of endpoints as an OpenAPI 3.1 document, and that document as a page.

The page is plain HTML made here: no script, nothing from elsewhere, under a policy that forbids both.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from html import escape
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
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font-family:ui-monospace,monospace}details{border-top:1px solid #8884;padding:.4rem 0}"
    "summary b{display:inline-block;min-width:4.5rem}dt{font-weight:600}"
    "pre{overflow-x:auto;background:#8881;padding:.6rem}"
)
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


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
        return page(self._document).encode()

    async def json(self, request: Request, send: Send) -> None:
        """`GET /openapi.json`."""
        await respond(send, 200, [JSON_TYPE], self._json)

    async def html(self, request: Request, send: Send) -> None:
        """`GET /docs`."""
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", _POLICY.encode()),
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


def page(told: Document) -> str:
    """The document as HTML: groups, operations, and the schemas that they name."""
    groups: dict[str, list[str]] = {}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method.upper(), path, operation))
    body = "".join(f"<h2>{escape(group)}</h2>{''.join(items)}" for group, items in groups.items())
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<pre>{escape(msgspec.json.format(msgspec.json.encode(schema), indent=2).decode())}</pre></details>"
        for name, schema in sorted(told["components"]["schemas"].items())
    )
    info = told["info"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>routewright: HTTP API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>routewright {escape(info['version'])}</h1><p>{escape(info['description'])} "
        f'For programs: <a href="/openapi.json">/openapi.json</a>.</p>{body}<h2>Schemas</h2>{schemas}</body></html>\n'
    )


def _operation(method: str, path: str, operation: Document) -> str:
    rows = [f"<dt>who</dt><dd>{escape(operation['description'].removeprefix('Access: '))}</dd>"]
    if body := operation.get("requestBody"):
        rows.append(f"<dt>body</dt><dd>{_links(body['content'])}</dd>")
    for place, title in (("query", "query"), ("header", "headers")):
        names = [each["name"] for each in operation["parameters"] if each["in"] == place]
        if names:
            rows.append(f"<dt>{title}</dt><dd>{', '.join(f'<code>{escape(name)}</code>' for name in names)}</dd>")
    for status, answer in operation["responses"].items():
        label = "errors" if status == "default" else escape(status)
        rows.append(f"<dt>{label}</dt><dd>{_links(answer['content'])}</dd>")
    return (
        f"<details><summary><b>{method}</b> <code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
        f"<dl>{''.join(rows)}</dl></details>"
    )


def _links(content: Mapping[str, Any]) -> str:
    names = {kind: told["schema"]["$ref"].rpartition("/")[2] for kind, told in content.items()}
    return ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a> ({escape(kind)})' for kind, name in names.items())
