"""The description of the API: what FastAPI tells, and what it cannot know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from kdphys.serve.schemas import STREAM_MODELS, Problem
from kdphys.serve.upload import WINDOWS_S

_REASONS = {
    400: "malformed, cut off, or for a host name that is not this server's",
    401: "without the right token",
    403: "from a page of another origin",
    404: "not there",
    405: "another method",
    408: "too slow",
    413: "too large",
    415: "not a form, or not a video",
    422: "an option is out of range",
    426: "not a WebSocket",
    429: "too many of this client; see Retry-After",
    503: "the server is full, starting or shutting down; see Retry-After",
}
#: Links from a created measurement to what can be done with it.
LINKS: dict[str, Any] = {
    "get": {"operationId": "get_measurement", "parameters": {"measurement_id": "$response.body#/id"}},
    "delete": {"operationId": "delete_measurement", "parameters": {"measurement_id": "$response.body#/id"}},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Refusals of an operation, for its description; those that any request can meet are added."""
    out: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 400, 401, 405, 429}):
        out[status] = {"model": Problem, "description": _REASONS[status]}
        if status in (429, 503):
            out[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return out


def form(methods: Sequence[str] = (), default: str = "") -> dict[str, Any]:
    """The body of an upload."""
    method: dict[str, Any] = {"type": "string", "description": "how the pulse is estimated"}
    if methods:
        method |= {"enum": list(methods), "default": default}
    window = {"type": "number", "minimum": WINDOWS_S[0], "maximum": WINDOWS_S[1], "default": 10}
    fields = {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "minLength": 1,
            "description": "the video: MP4, MOV, MKV, WebM, AVI, MPEG, …, whatever it is called",
        },
        "method": method,
        "faces": {"type": "string", "enum": ["largest", "all"], "default": "largest"},
        "window": {**window, "description": "for the heart rate, seconds"},
    }
    schema = {"type": "object", "required": ["file"], "properties": fields, "additionalProperties": False}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def describe(app: FastAPI, methods: Sequence[str], default: str, token: bool) -> dict[str, Any]:
    """The description as served.

    Args:
        app: with its routes.
        methods, default: that can be asked for.
        token: whether the API asks for one.
    """
    out = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = out["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, never sent
        schemas.pop(name, None)
    _add_document(schemas)
    for model in STREAM_MODELS:
        one = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= one.pop("$defs", {})
        schemas[model.__name__] = one
    out["paths"]["/v1/measurements"]["post"]["requestBody"] = form(methods, default)
    out["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "of this server. For WebSockets in browsers, which cannot send the header: the subprotocols "
            "`kdphys.v1` and `bearer.TOKEN`.",
        }
    }
    for path, operations in out["paths"].items():
        for operation in operations.values():
            if token and (path.startswith("/v1/") or path == "/metrics"):
                operation["security"] = [{"token": []}]
            else:
                operation["responses"].pop("401", None)
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    return out


def _add_document(schemas: dict[str, Any]) -> None:
    """The result of a measurement is described where the command line's is."""
    text = (files("kdphys") / "assets" / "measurement.schema.json").read_text()
    text = text.replace("#/$defs/estimate", "#/components/schemas/ResultEstimate")
    text = text.replace("#/$defs/measurement", "#/components/schemas/ResultMeasurement")
    document = json.loads(text)
    document.pop("$schema")
    parts = document.pop("$defs")
    schemas["ResultEstimate"], schemas["ResultMeasurement"] = parts["estimate"], parts["measurement"]
    schemas["Result"] = document
    result = schemas["Measurement"]["properties"]["result"]
    result["anyOf"] = [{"$ref": "#/components/schemas/Result"}, {"type": "null"}]
