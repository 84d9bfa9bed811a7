"""What every address of the gateway is for: the words and shapes of `/openapi.json`, beside the table of endpoints.

The table in `app` says what there is and who may call it; here stands only what that table does not need to run. A test
compares the two, and holds real answers against the shapes.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from routewright.catalog.registry import Tier

Schema: TypeAlias = Mapping[str, Any]


class Operation(Struct, frozen=True, kw_only=True):
    """What one method of one address does."""

    group: str
    told: str
    body: str = ""
    """The schema of the body; empty where there is none."""
    body_type: str = "application/json"
    answer: str = "Anything"
    answer_type: str = "application/json"
    status: int = 200
    is_generation: bool = False
    """Whether somebody may answer it, so that the wishes of `x-routewright-…` count."""
    errors: str = "Error"
    query: tuple[str, ...] = ()
    """Names of fields of the query, all of them texts that need not be there."""


_CHAT, _FILES, _BATCHES = "Answers", "Files", "Batches"
_ROUTING, _ADMIN, _OPERATING = "Routing", "Administration", "Operating"

OPERATIONS: Mapping[str, Operation] = {
    "POST /v1/chat/completions": Operation(
        group=_CHAT, told="An answer, as OpenAI's chat completions.", body="ChatBody", answer="Chat", is_generation=True
    ),
    "POST /v1/responses": Operation(
        group=_CHAT, told="The same, as OpenAI's responses.", body="ResponsesBody", is_generation=True
    ),
    "GET /v1/responses/{id}": Operation(group=_CHAT, told="A response of the last day."),
    "DELETE /v1/responses/{id}": Operation(group=_CHAT, told="Forget a response."),
    "GET /v1/responses/{id}/input_items": Operation(group=_CHAT, told="What a response was asked.", answer="Listing"),
    "POST /v1/messages": Operation(
        group=_CHAT,
        told="The same, as Anthropic's messages.",
        body="MessagesBody",
        is_generation=True,
        errors="AnthropicError",
    ),
    "POST /v1/messages/count_tokens": Operation(
        group=_CHAT,
        told="How many input tokens a request has, estimated; calls nobody.",
        body="MessagesBody",
        answer="TokenCount",
        errors="AnthropicError",
    ),
    "POST /v1/embeddings": Operation(
        group=_CHAT, told="Vectors, by the model that is named.", body="EmbeddingsBody", is_generation=True
    ),
    "POST /v1/route": Operation(
        group=_ROUTING, told="The decision for a chat body, explained; calls nobody.", body="ChatBody", answer="Route"
    ),
    "POST /v1/feedback": Operation(
        group=_ROUTING,
        told="How well an answer turned out.",
        body="FeedbackBody",
        answer="FeedbackTaken",
        status=202,
    ),
    "GET /v1/models": Operation(group=_ROUTING, told="What may be asked for.", answer="Listing"),
    "GET /v1/models/{name}": Operation(group=_ROUTING, told="One of these; its name may have slashes.", answer="Model"),
    "POST /v1/files": Operation(
        group=_FILES,
        told="Keep a file of requests.",
        body="FileForm",
        body_type="multipart/form-data",
        answer="KeptFile",
    ),
    "GET /v1/files": Operation(
        group=_FILES, told="The caller's files.", answer="Listing", query=("limit", "after", "order", "purpose")
    ),
    "GET /v1/files/{id}": Operation(group=_FILES, told="About one file.", answer="KeptFile"),
    "DELETE /v1/files/{id}": Operation(group=_FILES, told="Delete a file."),
    "GET /v1/files/{id}/content": Operation(
        group=_FILES, told="What is in it.", answer="Bytes", answer_type="application/octet-stream"
    ),
    "POST /v1/batches": Operation(
        group=_BATCHES, told="Have a file's requests answered.", body="BatchBody", answer="Batch"
    ),
    "GET /v1/batches": Operation(
        group=_BATCHES, told="The caller's batches.", answer="Listing", query=("limit", "after")
    ),
    "GET /v1/batches/{id}": Operation(group=_BATCHES, told="How one stands.", answer="Batch"),
    "POST /v1/batches/{id}/cancel": Operation(
        group=_BATCHES, told="End one; what is answered is kept.", answer="Batch"
    ),
    "GET /admin/keys": Operation(group=_ADMIN, told="All virtual keys, without their texts.", answer="Listing"),
    "POST /admin/keys": Operation(
        group=_ADMIN, told="Make a key; its text is shown this once.", body="KeyWish", answer="KeyTold", status=201
    ),
    "GET /admin/keys/{id}": Operation(group=_ADMIN, told="About one key.", answer="KeyTold"),
    "PATCH /admin/keys/{id}": Operation(
        group=_ADMIN, told="Change the fields that are sent.", body="KeyChange", answer="KeyTold"
    ),
    "DELETE /admin/keys/{id}": Operation(group=_ADMIN, told="Take a key out of use, for ever.", answer="KeyTold"),
    "POST /admin/keys/{id}/rotate": Operation(
        group=_ADMIN, told="Give a key another text, shown this once.", body="Rotation", answer="KeyTold"
    ),
    "GET /admin/budgets": Operation(group=_ADMIN, told="How budgets stand.", answer="Listing"),
    "GET /admin/policies": Operation(group=_ADMIN, told="Which policies are in force.", answer="Listing"),
    "POST /admin/policies": Operation(
        group=_ADMIN, told="Put a new version of a policy in force.", body="PolicyBody", status=201
    ),
    "PATCH /admin/policies": Operation(
        group=_ADMIN, told="The kill switch: the base alone, or all again.", body="PolicySwitch", answer="Listing"
    ),
    "GET /admin/policies/{id}": Operation(group=_ADMIN, told="A policy's versions and history; its name is the id."),
    "POST /admin/policies/{id}/rollback": Operation(
        group=_ADMIN, told="Back to an earlier version.", body="RollbackBody"
    ),
    "GET /metrics": Operation(
        group=_OPERATING, told="For Prometheus.", answer="Text", answer_type="text/plain; version=0.0.4"
    ),
    "GET /healthz": Operation(group=_OPERATING, told="Whether it works, and by which settings."),
    "GET /health": Operation(group=_OPERATING, told="The same as /healthz."),
    "GET /health/liveliness": Operation(group=_OPERATING, told="The same as /healthz, by LiteLLM's name."),
    "GET /readyz": Operation(
        group=_OPERATING, told="Whether it takes requests; 503 from a SIGTERM on.", answer="Ready"
    ),
    "GET /health/readiness": Operation(
        group=_OPERATING, told="The same as /readyz, by LiteLLM's name.", answer="Ready"
    ),
    "GET /openapi.json": Operation(group=_OPERATING, told="This document."),
    "GET /docs": Operation(
        group=_OPERATING, told="This document as a page, without a script.", answer="Text", answer_type="text/html"
    ),
}
"""By method and path, as `document` writes them."""


def _text(told: str = "") -> Schema:
    return {"type": "string", **({"description": told} if told else {})}


def _object(properties: Mapping[str, Schema], *required: str, is_open: bool = True) -> Schema:
    """`is_open` for what has more members than are named: those of the provider's own API."""
    return {
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
        **({} if is_open else {"additionalProperties": False}),
    }


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_MODEL = _text("`auto`, `auto:cheap`, `auto:best`, an alias, a model, or `provider/model`.")
_WISHES = {"$ref": "#/components/schemas/Wishes"}
_COUNT = {"type": "integer", "minimum": 0}
_ANY_LIST = _list_of({})
_REASON = _text("Kept beside the change, for whoever asks later.")

WRITTEN: Mapping[str, Schema] = {
    "Anything": {"type": "object"},
    "Text": {"type": "string"},
    "Bytes": {"type": "string", "format": "binary"},
    "Wishes": _object(
        {
            "policy": _text("Decide by this policy."),
            "tier": {"type": "string", "enum": [tier.value for tier in Tier]},
            "min_quality": {"type": ["number", "string"], "description": "A probability from 0 to 1."},
            "max_cost_usd": {"type": ["number", "string"], "description": "Dearer models are passed over."},
            "deadline_ms": {"type": "integer", "minimum": 1, "maximum": 86_400_000},
            "tags": _list_of({"type": "string", "minLength": 1, "maxLength": 200}),
            "user": {"type": "string", "maxLength": 256},
            "no_log": {"type": "boolean"},
            "cache": {"type": "string", "enum": ["on", "off"]},
            "shadow": {"type": "string", "enum": ["on", "off"]},
            "drop": _list_of({"type": "string", "minLength": 1, "maxLength": 256}),
            "checks": _list_of({"type": ["string", "object"]}),
            "agreement": {"type": "string", "enum": ["choice", "number", "text", "json", "off"]},
        },
        is_open=False,
    ),
    "ChatBody": _object(
        {
            "model": _MODEL,
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "stream": {"type": "boolean"},
            "max_tokens": {"type": "integer", "minimum": 1},
            "tools": _ANY_LIST,
            "response_format": {"type": "object"},
            "routewright": _WISHES,
        },
        "model",
        "messages",
    ),
    "Chat": _object(
        {
            "id": _text(),
            "object": {"const": "chat.completion"},
            "created": _COUNT,
            "model": _text("The model that answered."),
            "choices": _list_of(_object({"index": _COUNT, "message": {"type": "object"}}, "index", "message")),
            "usage": _object({"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT}),
        },
        "id",
        "object",
        "model",
        "choices",
    ),
    "ResponsesBody": _object(
        {
            "model": _MODEL,
            "input": {"type": ["string", "array"]},
            "stream": {"type": "boolean"},
            "routewright": _WISHES,
        },
        "model",
    ),
    "MessagesBody": _object(
        {
            "model": _MODEL,
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "max_tokens": {"type": "integer", "minimum": 1},
            "system": {"type": ["string", "array"]},
            "stream": {"type": "boolean"},
            "routewright": _WISHES,
        },
        "model",
        "messages",
    ),
    "TokenCount": _object({"input_tokens": _COUNT}, "input_tokens"),
    "EmbeddingsBody": _object({"model": _MODEL, "input": {"type": ["string", "array"]}}, "model", "input"),
    "FeedbackBody": _object(
        {
            "request_id": _text("The answer's header `x-routewright-request-id`."),
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "good": {"type": "boolean"},
            "comment": {"type": "string", "maxLength": 4000},
            "correction": {"type": "string", "maxLength": 65_536},
            "model": _text("If the answer was another model's."),
        },
        "request_id",
        is_open=False,
    ),
    "FeedbackTaken": _object({"recorded": {"const": True}, "outcome_id": _text()}, "recorded", "outcome_id"),
    "Model": _object({"id": _text()}, "id"),
    "Listing": _object({"data": _ANY_LIST}, "data"),
    "FileForm": _object(
        {"file": {"type": "string", "format": "binary"}, "purpose": {"const": "batch"}}, "file", "purpose"
    ),
    "BatchBody": _object(
        {
            "input_file_id": _text(),
            "endpoint": {
                "type": "string",
                "enum": ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"],
            },
            "completion_window": {"const": "24h"},
            "metadata": {"type": "object"},
            "output_expires_after": {"type": "object"},
        },
        "input_file_id",
        "endpoint",
        "completion_window",
        is_open=False,
    ),
    "Rotation": _object(
        {
            "grace_s": {
                "type": "number",
                "minimum": 0,
                "maximum": 2_592_000,
                "description": "The old text is taken for so long.",
            }
        },
        is_open=False,
    ),
    "PolicyBody": _object(
        {
            "name": _text(),
            "changes": {"type": "object", "description": "In the words of `[policies.NAME]`."},
            "share": {"type": "number", "minimum": 0, "maximum": 100},
            "reason": _REASON,
            "evidence": {"type": "object"},
        },
        "name",
        is_open=False,
    ),
    "PolicySwitch": _object({"enabled": {"type": "boolean"}, "reason": _REASON}, "enabled", is_open=False),
    "RollbackBody": _object({"to": _COUNT, "reason": _REASON}, is_open=False),
    "Ready": _object({"status": {"enum": ["ready", "draining"]}}, "status"),
    "Error": _object(
        {
            "error": _object(
                {
                    "message": _text("What happened, to what, and what to do next."),
                    "type": _text(),
                    "param": {"type": ["string", "null"]},
                    "code": _text("`routewright explain CODE` says what helps."),
                },
                "message",
                "type",
                "code",
            )
        },
        "error",
    ),
    "AnthropicError": _object(
        {
            "type": {"const": "error"},
            "error": _object({"type": _text(), "message": _text()}, "type", "message"),
            "request_id": _text(),
        },
        "type",
        "error",
    ),
}
"""Schemas of what has no type here, as it is a provider's API that it follows; small, and true of every answer."""
