"""The API as an OpenAPI 3.1 document, from Litestar's handlers, their `opt`, and msgspec's schemas.

Litestar's own generator would see neither bodies nor problems here. Its schemas would not say that unknown fields are
refused, nor give the limits within lists and objects (docs/decisions/0020).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any, cast

import msgspec
from litestar.handlers import HTTPRouteHandler

from jitui.aftersales.cloud_events import MEDIA_TYPE as EVENT
from jitui.aftersales.model.view import TicketView
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.descriptions import description_of
from jitui.entrypoints.http.fields import Id, Kind
from jitui.entrypoints.http.openapi_media import plain_content
from jitui.entrypoints.http.openapi_times import mark_times
from jitui.entrypoints.http.openapi_webhooks import webhook_event
from jitui.entrypoints.http.operation import JSON, Nothing, Operation, described, method_of, path_of
from jitui.entrypoints.http.problems import (
    BODY_TOO_LARGE,
    INTERNAL_ERROR,
    INVALID_JSON,
    INVALID_REQUEST,
    KINDS,
    MEDIA_TYPE,
    NOT_FOUND,
    PERMISSION_MISSING,
    RATE_LIMITED,
    REFUSALS,
    SCOPE_NOT_ALLOWED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    ProblemBody,
    ProblemKind,
    body_of,
    not_found,
)
from jitui.entrypoints.http.resources import EXAMPLES, HANDLERS
from jitui.entrypoints.http.resources.cloud_events import CloudEventAnswer
from jitui.entrypoints.http.resources.refund_requests import TicketDecided
from jitui.money import MAX_AMOUNT_MINOR
from jitui.text import END

Json = dict[str, Any]
_REF = "#/components/schemas/{name}"

TAGS = {
    "After-sales": "Refund requests before shipment: request, decide, review, explain.",
    "Orders": "Orders with their payments, parcels and completion, as the platform has them.",
    "Shipping": "Shipping risks, many tracking numbers at once, and the answer to a stop-ship.",
    "Buyers": "What the platform knows of buyers, and their history.",
    "Personal data": "What is stored about one buyer, handed out whole; and the erasure of a buyer.",
    "History": "From when on history is complete: what was never declared is unknown, not zero.",
    "Shops and coverage": "Shops, categories, and what the guarantee covers.",
    "Refunds": "Refunds and their attempts.",
    "Books": "The ledger, and what differs from the providers' statements.",
    "Incidents": "Goods that left although they were refunded.",
    "Feed": "One ordered feed of what happened, with the stop-ship signal.",
    "Webhooks": "Endpoints that get events as they happen.",
    "Notifications": "Notifications by payment providers.",
    "Pauses": "Stopping instant refunds for a shop, category, item, region or the platform.",
    "Restrictions and lists": "Withdrawing the service from a buyer, and appeals against it; allow and deny lists.",
    "Notices": "Which notices buyers and shops get.",
    "Policies": "The published conditions and their earlier versions.",
    "Service": "The state of the service.",
}


def document() -> Json:
    """The whole document."""
    paths: Json = {}
    shown = {type(value): msgspec.to_builtins(value) for value in EXAMPLES}
    for handler in HANDLERS:
        paths.setdefault(path_of(handler), {})[method_of(handler).lower()] = _operation(handler, shown)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jitui",
            "version": "1",
            "summary": "Instant refund before shipment.",
            "description": "Money is in minor units with its currency, times are RFC 3339 with their zone, errors are "
            "problem details (RFC 9457) with a stable `type`, lists are paged by opaque cursors. Unknown fields and "
            "parameters are refused.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "webhooks": {"event": {"post": webhook_event(_content(EVENT, CloudEventAnswer, shown[CloudEventAnswer]))}},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "jt_<id>_<secret>",
                    "description": "An API key of scope platform, shop or buyer; shop and buyer keys see their own "
                    "things only. A key may be restricted to some permissions.",
                }
            },
        },
    }


def _schemas() -> Json:
    operations = [described(handler) for handler in HANDLERS]
    kinds = [operation.body for operation in operations if operation.takes_body]
    for operation in operations:
        kinds += [answer for answer in operation.answers.values() if answer is not None and answer is not str]
        kinds += [kind for kind in operation.other_media.values() if kind not in (str, bytes)]
    kinds = [*dict.fromkeys(kinds), ProblemBody]
    _, components = msgspec.json.schema_components(kinds, schema_hook=_anything, ref_template=_REF)
    mark_times(components, kinds)
    return {name: _explained(name, _published(schema)) for name, schema in sorted(components.items())}


def _explained(name: str, schema: Json) -> Json:
    """The schema with a description for every property; OpenAPI 3.1 allows one beside a reference."""
    for field, told in schema.get("properties", {}).items():
        told["description"] = description_of(name, field, told.get("description", ""))
    if "description" in schema:
        schema["description"] = cleandoc(schema["description"])
    return schema


def _anything(kind: type[Any]) -> Json:
    """The schema of details and facts: any JSON."""
    assert kind is object
    return {"description": "Any JSON value."}


def _published(schema: Any) -> Any:
    """The schema for other readers: a plain `$` already means the end of the text for them."""
    if isinstance(schema, list):
        return [_published(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _published(value) for name, value in schema.items()}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace(END, "$")
    return found


def _operation(handler: HTTPRouteHandler, shown: Mapping[type[Any], object]) -> Json:
    operation = described(handler)
    parameters = [*_path_parameters(handler), *_query_parameters(operation), *_header_parameters(operation)]
    told: Json = {
        "operationId": handler.handler_name,
        "summary": handler.summary,
        "description": _description(handler, operation),
        "tags": handler.tags,
        "security": _security(handler, operation),
        "parameters": parameters,
        "responses": _responses(handler, operation, shown),
    }
    if operation.takes_body:
        told["requestBody"] = {
            "required": not operation.body_optional,
            "content": {
                media_type: _content(media_type, operation.body, shown[operation.body])
                for media_type in operation.body_media
            },
        }
    elif operation.signed:
        told["requestBody"] = {
            "required": True,
            "description": "As the provider writes and signs it.",
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"type": "refund.succeeded"}}},
        }
    return told


def _description(handler: HTTPRouteHandler, operation: Operation) -> str:
    description = handler.description or ""
    if operation.signed:
        return description
    scopes = ", ".join(sorted(scope.value for scope in operation.scopes))
    who = (
        f"Personal tokens only. Permission: `{operation.permission}`."
        if operation.people_only
        else f"Keys of scope: {scopes}. Permission: `{operation.permission}`."
        if scopes
        else "Public; a key is not needed."
    )
    return f"{description} {who}".strip()


def _is_status(handler: HTTPRouteHandler) -> bool:
    return handler.tags == ["Service"]


def _security(handler: HTTPRouteHandler, operation: Operation) -> list[Json]:
    if operation.scopes:
        return [{"apiKey": []}]
    return [] if operation.signed or _is_status(handler) else [{}, {"apiKey": []}]


def _reference(kind: type[Any]) -> Json:
    return {"$ref": _REF.format(name=kind.__name__)}


def _content(media_type: str, kind: type[Any], example: object) -> Json:
    if media_type.endswith("-batch+json"):
        return {"schema": {"type": "array", "items": _reference(kind)}, "example": [example]}
    return {"schema": _reference(kind), "example": example}


# Parameters ------------------------------------------------------------------------------------------------------

_UUIDS = frozenset(
    {"ticket_id", "refund_id", "restriction_id", "appeal_id", "task_id", "endpoint_id", "proposal_id"}
    | {"confirmation_id", "complaint_id", "incident_id", "announcement_id", "opinion_id", "selection_id", "notice_id"}
)
_PATH_EXAMPLES = {
    "order_id": "o-1001",
    "buyer_id": "b-1",
    "shop_id": "s-1",
    "category_id": "apparel",
    "kind": "order_completed",
    "place": "shop",
    "ref": "s-1",
    "provider": "simulator",
    "ticket_id": "0197312a-6c00-7a11-b4c5-0d5e6f708a3c",
    "refund_id": "0197312a-6c00-7a12-9d11-2b3c4d5e6f3c",
    "restriction_id": "0197312a-7400-7a15-b244-a3b4c5d6e73c",
    "appeal_id": "0197312a-7600-7a18-9577-d6e7f8090a3c",
    "incident_id": "0197312a-7000-7a14-a133-8192a3b4c53c",
    "complaint_id": "0197312a-7700-7a18-b577-d6e7f8091a3c",
    "task_id": "3b0f6f43-5a5e-5d0a-9d52-6c1f1c1a2b3c",
    "proposal_id": "0197312a-8000-7a18-9577-d6e7f8091a00",
    "confirmation_id": "0197312a-8400-7a19-a688-e7f8091a2b00",
    "selection_id": "0197312a-7400-7a15-b244-a3b4c5d6e73c",
    "announcement_id": "0197312a-8000-7a18-9577-d6e7f8091a00",
    "opinion_id": "0197312a-7700-7a18-b577-d6e7f8091a3c",
    "policy_id": "unshipped-instant-refund",
    "version": "2",
    "endpoint_id": "0197312a-7800-7a16-8355-b4c5d6e7f809",
    "template_name": "on-its-way",
    "notice_id": "5c0f6f43-5a5e-4d0a-9d52-6c1f1c1a2b3c",
    "operator": "chen.jie",
}


def _path_parameters(handler: HTTPRouteHandler) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": description_of("", name),
            "schema": _path_schema(name),
            "example": _PATH_EXAMPLES[name],
        }
        for name in re.findall(r"\{(\w+)\}", path_of(handler))
    ]


def _path_schema(name: str) -> Json:
    if name in _UUIDS:
        return {"type": "string", "format": "uuid"}
    if name == "place":
        return {"type": "string", "enum": ["shop", "category", "item", "region"]}
    schema: Json = _published(msgspec.json.schema(Kind if name in ("kind", "provider") else Id))
    return schema


def _query_parameters(operation: Operation) -> list[Json]:
    if operation.query is Nothing:
        return []
    _, components = msgspec.json.schema_components([operation.query], ref_template="{name}")
    fields = components[operation.query.__name__]
    found = []
    for name, schema in fields["properties"].items():
        takes = _query_schema(schema, components)
        told = description_of(operation.query.__name__, name, takes.pop("description", ""))
        required = name in fields.get("required", [])
        found.append({"name": name, "in": "query", "required": required, "description": told, "schema": takes})
    return found


def _query_schema(schema: Json, components: Mapping[str, Json]) -> Json:
    """The schema of a query parameter, without null: a parameter is sent or not."""
    chosen = dict(schema)
    if "anyOf" in chosen:
        (chosen,) = ({**option} for option in chosen["anyOf"] if option.get("type") != "null")
        chosen |= {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    if "$ref" in chosen:
        chosen = {**components[chosen.pop("$ref")], **chosen}
        chosen.pop("title", None)
    published: Json = _published(chosen)
    return published


def _header_parameters(operation: Operation) -> list[Json]:
    found = []
    if operation.idempotent:
        found.append(
            _header(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$"},
                "Visible ASCII. The same key with the same request gets the first answer again, with another request "
                "422, and 409 while the first is in flight. Another buyer's key is another key.",
                "7b1f0c1e-ask-o-1001",
            )
        )
    if "If-Match" in (*operation.headers, *operation.needed_headers):
        found.append(
            _header(
                "If-Match",
                {"type": "string", "pattern": '^"[0-9]{1,9}"$'},
                "The version of the ticket that is decided on, as its ETag has it.",
                '"1"',
                required="If-Match" in operation.needed_headers,
            )
        )
    if "Jitui-Deadline-Ms" in operation.headers:
        found.append(
            _header(
                "Jitui-Deadline-Ms",
                {"type": "integer", "minimum": 0, "maximum": 600_000},
                "Milliseconds from the arrival of the request; after them nothing is approved and the ticket is "
                "awaiting_merchant.",
                800,
            )
        )
    return found


def _header(name: str, schema: Json, text: str, example: object, *, required: bool = False) -> Json:
    found: Json = {"name": name, "in": "header", "required": required, "schema": schema}
    return {**found, "description": text, "example": example}


# Responses -------------------------------------------------------------------------------------------------------

_REQUEST_ID: Json = {
    "X-Request-Id": {
        "schema": {"type": "string"},
        "description": "The id of this request in the service's log: the one that was sent, or a new one.",
        "example": "0197312a-6c00-7a11-b4c5-0d5e6f708a00",
    }
}


def _responses(handler: HTTPRouteHandler, operation: Operation, shown: Mapping[type[Any], object]) -> Json:
    responses = {str(status): _success(handler, operation, status, shown) for status in operation.answers}
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in dict.fromkeys((*operation.problems, *_edge_problems(handler, operation))):
        by_status.setdefault(kind.status, []).append(kind)
    responses |= {str(status): _problem(kinds) for status, kinds in sorted(by_status.items())}
    return responses


def _success(handler: HTTPRouteHandler, operation: Operation, status: int, shown: Mapping[type[Any], object]) -> Json:
    answer = operation.answers[status]
    response: Json = {"description": handler.summary}
    if answer is str:
        response["content"] = {"text/plain": {"schema": {"type": "string"}, "example": "jitui_refund_queue 0.0\n"}}
    elif answer is not None:
        response["content"] = {JSON: _content(JSON, answer, shown[answer])}
    if status == 200:
        others = operation.other_media.items()
        response.setdefault("content", {}).update(
            {name: plain_content(kind) or _content(name, kind, shown[kind]) for name, kind in others}
        )
    response["headers"] = _success_headers(operation, status)
    return response


def _success_headers(operation: Operation, status: int) -> Json:
    headers: Json = {**_REQUEST_ID}
    if operation.answers[status] in (TicketView, TicketDecided):
        headers["ETag"] = {"schema": {"type": "string"}, "description": "The ticket's version.", "example": '"1"'}
    if operation.answers[status] is TicketDecided:
        headers["Location"] = {"schema": {"type": "string"}, "description": "The ticket's address."}
    if operation.idempotent:
        headers["Idempotency-Replayed"] = {
            "schema": {"type": "string", "enum": ["true"]},
            "description": "Sent when this is a repetition of the first response.",
        }
    return headers


def _edge_problems(handler: HTTPRouteHandler, operation: Operation) -> Sequence[ProblemKind]:
    found = [INVALID_REQUEST, INTERNAL_ERROR, UNAVAILABLE]
    if operation.rate_limited and not operation.signed:
        found += [RATE_LIMITED]
    if operation.takes_body:
        found += [INVALID_JSON, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE]
    found += [BODY_TOO_LARGE] if operation.signed else [UNAUTHENTICATED]
    if operation.scopes:
        found += [SCOPE_NOT_ALLOWED, PERMISSION_MISSING]
    if not _is_status(handler):
        found += [NOT_FOUND]
    if operation.idempotent:
        found += [REFUSALS[RefusalCode.IDEMPOTENCY_KEY_REUSED], REFUSALS[RefusalCode.REQUEST_IN_FLIGHT]]
    return found


def _problem(kinds: Sequence[ProblemKind]) -> Json:
    response: Json = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {
            MEDIA_TYPE: {
                "schema": _reference(ProblemBody),
                "examples": {kind.slug: {"value": problem_example(kind)} for kind in kinds},
            }
        },
    }
    response["headers"] = {**_REQUEST_ID}
    if any(kind.status in (429, 503) for kind in kinds):
        retry_after = {"schema": {"type": "integer"}, "description": "Seconds to wait.", "example": 1}
        response["headers"]["Retry-After"] = retry_after
    if RATE_LIMITED in kinds:
        response["headers"] |= {
            "RateLimit-Policy": {"schema": {"type": "string"}, "example": '"key";q=1000;w=2'},
            "RateLimit": {
                "schema": {"type": "string"},
                "description": "What is left of the quota, and in how many seconds it is full again.",
                "example": '"key";r=0;t=2',
            },
        }
    return response


def problem_example(kind: ProblemKind) -> Json:
    """An example of a problem of this kind."""
    problem = not_found() if kind is NOT_FOUND else Problem(kind, _EXAMPLE_DETAILS.get(kind.slug, kind.title + "."))
    return cast("Json", json.loads(body_of(problem)))


_EXAMPLE_DETAILS = {
    INVALID_JSON.slug: "Broken JSON at byte 12 (line 1, column 13): object keys must be strings.",
    INVALID_REQUEST.slug: f"Expected a whole number from 0 to {MAX_AMOUNT_MINOR}.",
    UNAUTHENTICATED.slug: "Send a valid API key as Authorization: Bearer jt_….",
    "order-already-shipped": "All goods have left; ask for a refund after shipment instead.",
    "ticket-stale": "The ticket is at version 2; read it again before you decide.",
}
assert set(_EXAMPLE_DETAILS) <= set(KINDS)
