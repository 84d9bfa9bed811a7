"""The document of the HTTP API as a page, for `/docs`.

It is plain HTML made here: no script, nothing from elsewhere, under a policy that forbids both.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

import msgspec

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font-family:ui-monospace,monospace}details{border-top:1px solid #8884;padding:.4rem 0}"
    "summary b{display:inline-block;min-width:4.5rem}dt{font-weight:600}"
    "pre{overflow-x:auto;background:#8881;padding:.6rem}"
)
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(told: Mapping[str, Any]) -> str:
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


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
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
