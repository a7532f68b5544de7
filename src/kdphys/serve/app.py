"""The application: routes, and what happens around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kdphys.serve.core import Core
from kdphys.serve.guard import Guard, Outside
from kdphys.serve.jobs import Job, new_id
from kdphys.serve.limits import client_of
from kdphys.serve.metrics import Metrics
from kdphys.serve.openapi import LINKS, describe, form, problems
from kdphys.serve.page import Page
from kdphys.serve.problems import Refusal, Refused
from kdphys.serve.schemas import Health, Measurement
from kdphys.serve.settings import Settings
from kdphys.serve.upload import check_headers, receive

_ABOUT = """Heart rate, its variability and respiration from ordinary face video. **Not a medical device.**

Uploads are deleted after measuring; results are kept in memory for a while, then forgotten. `GET /v1/stream` as a
WebSocket measures while frames come: see `docs/api.md`."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The server as an ASGI application; ``app.state.core`` is there while it runs.

    Args:
        settings: limits; those of :class:`Settings` by default.
    """
    s = settings or Settings()
    metrics = Metrics()
    release = version("kdphys")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.core = Core(s, metrics, release)
        async with app.state.core.running():
            yield

    around = [Middleware(Outside, metrics=metrics), Middleware(Guard, settings=s)]
    if s.cors:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(s.cors),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Location", "Retry-After"],
        )
        around.insert(1, cors)
    app = FastAPI(
        title="kdphys",
        version=release,
        description=_ABOUT,
        lifespan=lifespan,
        middleware=around,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            Refused: _refused,
            HTTPException: _http,
            RequestValidationError: _invalid,
            Exception: _broke,
        },
    )
    _add_measurements(app)
    _add_stream(app)
    _add_state(app, s)
    _add_page(app, Page())
    return app


def _add_measurements(app: FastAPI) -> None:
    @app.post(
        "/v1/measurements",
        operation_id="create_measurement",
        summary="Upload a video",
        status_code=202,
        response_model=Measurement,
        responses={
            202: {
                "description": "it will be measured; ask for it by its id",
                "headers": {"Location": {"schema": {"type": "string"}, "description": "where to ask"}},
                "links": LINKS,
            },
            **problems(403, 408, 413, 415, 422, 503),
        },
        openapi_extra={"requestBody": form()},
    )
    async def create(request: Request) -> Response:
        """Its type is told by its content; its name is neither used nor kept. The file is deleted after measuring."""
        core: Core = request.app.state.core
        s = core.settings
        check_headers(request, s.max_upload_bytes)
        with core.uploads.seat(client_of(request.scope)), core.board.place():
            methods, default = await core.methods()
            name = new_id()
            upload = await receive(request, core.spool, name, methods, default, s, core.metrics)
            job = Job(name, upload.file, upload.options)
            try:
                await core.board.submit(job)
            except BaseException:
                upload.file.delete()
                raise
        return _json(job.json(s.keep_s), 202, {"Location": f"/v1/measurements/{name}"})

    @app.get(
        "/v1/measurements/{measurement_id}",
        operation_id="get_measurement",
        summary="Ask for a measurement",
        response_model=Measurement,
        responses=problems(404),
    )
    async def get(measurement_id: str, request: Request) -> Response:
        """Its state, and its result or the reason why there is none."""
        core: Core = request.app.state.core
        return _json(core.board.get(measurement_id).json(core.settings.keep_s), 200)

    @app.delete(
        "/v1/measurements/{measurement_id}",
        operation_id="delete_measurement",
        summary="Stop and forget a measurement",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "stopped if it ran, and forgotten"}, **problems(403, 404)},
    )
    async def delete(measurement_id: str, request: Request) -> Response:
        """Nothing of it is left."""
        core: Core = request.app.state.core
        core.board.forget(measurement_id)
        return Response(status_code=204)


def _add_stream(app: FastAPI) -> None:
    @app.websocket("/v1/stream")
    async def stream(ws: WebSocket) -> None:
        core: Core = ws.app.state.core
        try:
            core.board.check_open()
            methods, default = await core.methods()
        except Refused as refusal:
            await ws.send_denial_response(refusal.response())
            return
        await core.streams.serve(ws, methods, default)

    @app.get(
        "/v1/stream",
        operation_id="stream",
        summary="Measure while frames come (WebSocket)",
        status_code=426,
        response_class=Response,
        responses={
            101: {
                "description": "the stream begins: StreamHello from the client, StreamReady, StreamUpdate each second"
            },
            **problems(403, 426, 503),
        },
    )
    async def not_a_stream() -> Response:
        """Messages are `StreamHello`, `StreamReady`, `StreamUpdate` and `StreamError`; frames are binary messages of an
        8-byte little-endian float64 time in seconds and a JPEG or raw RGB. Without the headers of a WebSocket: 426."""
        return Refusal(426, "not_a_websocket", "connect with a WebSocket", {"Upgrade": "websocket"})


def _add_state(app: FastAPI, s: Settings) -> None:
    @app.get(
        "/healthz",
        operation_id="health",
        summary="Whether the server can measure",
        response_model=Health,
        responses={
            503: {"model": Health, "description": "it is starting, shutting down, or has lost its workers"},
            **{status: about for status, about in problems().items() if status in (400, 405)},
        },
    )
    async def health(request: Request) -> Response:
        """Liveness and the state of the workers; needs no token."""
        now = request.app.state.core.health()
        return JSONResponse(now.model_dump(mode="json"), 200 if now.status == "ok" else 503)

    text = {
        "description": "in the text format of Prometheus",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }

    @app.get(
        "/metrics",
        operation_id="metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: text, **problems()},
    )
    async def counters(request: Request) -> Response:
        """Requests, jobs, streams, frames, latencies, memory."""
        return Response(request.app.state.core.metrics_text(), media_type=CONTENT_TYPE_LATEST)

    described: dict[str, Any] = {}

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        if not described:
            methods, default = await request.app.state.core.methods()
            described.update(describe(request.app, methods, default, s.token is not None))
        return JSONResponse(described)


def _add_page(app: FastAPI, page: Page) -> None:
    """Behind all routes, so that a wrong method on one of them is still a wrong method."""
    nothing = app.router.default

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        await (page if scope["type"] == "http" else nothing)(scope, receive, send)

    app.router.default = default


def _json(body: bytes, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, "application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: ("not_found", "nothing here; see /openapi.json"), 405: ("wrong_method", "another method is expected")}
    code, message = codes.get(error.status_code, ("refused", str(error.detail)))
    headers = dict(error.headers or {})
    if error.status_code == 405:  # of all routes of this path, not only of the first
        matched = (route for route in request.app.routes if isinstance(route, Route) and _leads(route, request))
        headers["Allow"] = ", ".join(sorted({method for route in matched for method in route.methods or ()}))
    return Refusal(error.status_code, code, message, headers)


def _leads(route: Route, request: Request) -> bool:
    return route.path_regex.match(request.url.path) is not None


async def _invalid(request: Request, error: Exception) -> Response:
    return Refusal(422, "invalid", "the request does not fit its description; see /openapi.json")


async def _broke(request: Request, error: Exception) -> Response:
    return Refusal(500, "internal", "the server met an error of its own")
