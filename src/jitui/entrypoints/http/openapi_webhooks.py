"""What webhook endpoints of others get, as the OpenAPI document tells it."""

from __future__ import annotations

from typing import Any

from jitui.aftersales.cloud_events import MEDIA_TYPE

Json = dict[str, Any]

_HEADERS = (
    ("webhook-id", "The event's id; the same each time it is sent.", "evt_42_5b3c0f0e7f1a4b0c9d2e6a7b8c9d0e1f"),
    ("webhook-timestamp", "When it was sent, in seconds since 1970.", "1780315202"),
    (
        "webhook-signature",
        "`v1,` and a signature in base64 for each secret that is valid, with a space between.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
)


def webhook_event(content: Json) -> Json:
    """The request that an endpoint gets, and what its answers mean."""
    return {
        "operationId": "receive_event",
        "summary": "An event for a webhook endpoint",
        "description": "Signed as Standard Webhooks says. A status from 200 to 299 says that it was taken. After any "
        "other it comes again, and after those it may.",
        "tags": ["Webhooks"],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
                "example": example,
            }
            for name, text, example in _HEADERS
        ],
        "requestBody": {"required": True, "content": {MEDIA_TYPE: content}},
        "responses": {"2XX": {"description": "Taken."}, "410": {"description": "Gone: send nothing any more."}},
    }
