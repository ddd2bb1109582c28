"""The application of one worker: routes, what they share, its start and its end.

Made by `create` from settings and a model; a worker process calls `from_environment`, which opens it first.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from finsa_moe._version import __version__
from finsa_moe.errors import FinSAError
from finsa_moe.polarity import ENGLISH, NAMES
from finsa_moe.service import files, page, predict
from finsa_moe.service.dispatcher import Dispatcher
from finsa_moe.service.guard import FAULT, Guard
from finsa_moe.service.meters import Meters
from finsa_moe.service.problems import Problem
from finsa_moe.service.served import Served, Shelf
from finsa_moe.service.settings import Settings
from finsa_moe.service.shapes import ASKED, OPEN, Health, ModelResponse, PredictRequest, ProblemShape, refusals
from finsa_moe.service.spool import Spool
from finsa_moe.service.state import State, of
from finsa_moe.service.supervised import Supervised

log = logging.getLogger("finsa.serve")
router = APIRouter()
SWEEP = 60.0  # seconds between two looks for answers kept long enough
NO_TOKEN: dict[int | str, dict[str, Any]] = {403: {"description": "No token is set, or from a page of another site"}}
FREE: dict[str, Any] = {"security": []}  # in the OpenAPI: no token is asked for


@router.get("/v1/model", response_model=ModelResponse, responses=refusals(*ASKED), tags=["model"])
async def model(request: Request) -> Response:
    """What is served: name, version, experts, labels in order, limits, and the model's card."""
    state = of(request)
    settings = state.settings
    limits = ("max_texts", "max_chars", "max_explained", "max_body", "max_file", "max_rows", "max_columns")
    return JSONResponse(
        {
            **state.shelf.served.card(),
            "labels": list(ENGLISH),
            "sentiments": list(NAMES),
            "experts": list(state.shelf.served.domains),
            "explains": state.explains,
            "limits": {name: getattr(settings, name) for name in limits},
        }
    )


@router.post("/v1/reload", response_model=Health, responses=refusals(*ASKED, 409) | NO_TOKEN, tags=["model"])
async def reload(request: Request) -> Response:
    """Open the model folder anew; one that does not open or answer is refused, and the old model stays.

    Where there are several workers this one has done so when it answers, and the others begin to.
    """
    state = of(request)
    if not state.guarded:
        raise Problem(403, "no-token", "without a token nobody may ask for this; send the process SIGHUP instead")
    try:
        await changed(state)
    except FinSAError as error:
        raise Problem(409, "model", f"the old model stays: {error}") from None
    state.supervised.pass_on()
    return JSONResponse({"status": "reloaded"})


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_model=Health, responses=refusals(*OPEN), openapi_extra=FREE, tags=["health"])
async def health() -> Response:
    """That the process answers."""
    return JSONResponse({"status": "ok"})


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=Health, responses=refusals(*OPEN, 503), openapi_extra=FREE, tags=["health"])
async def ready(request: Request) -> Response:
    """That texts are taken: the model is open and the queue has room; one told to end takes no connection at all."""
    state = of(request)
    if state.dispatcher.wait() > state.settings.deadline / 2:
        raise Problem(503, "full", "the queue is full", retry_after=1)
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics", response_class=Response, tags=["health"],
    responses=refusals(*ASKED) | {200: {"content": {"text/plain": {}}}},
)  # fmt: skip
async def metrics(request: Request) -> Response:
    """Counts for Prometheus."""
    found = await asyncio.to_thread(of(request).meters.exposition)
    return Response(found, media_type="text/plain; version=0.0.4; charset=utf-8")


def create(settings: Settings, shelf: Shelf, token: bytes | None) -> ASGIApp:
    """The whole application.

    Args:
        settings: Limits and places.
        shelf: The model.
        token: What requests must bear; None asks for nothing.
    """
    meters = Meters()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        _tell(meters, shelf.served, None)
        dispatcher = Dispatcher(_threads(shelf.served, settings), settings.deadline, meters)
        spool = Spool(settings.spool, settings.keep)
        explains = all(find_spec(name) is not None for name in ("shap", "rjieba"))
        state = app.state.finsa = State(
            settings, shelf, dispatcher, meters, spool, explains, token is not None, Supervised()
        )
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, ValueError, RuntimeError):  # not in a thread, and not on Windows
            loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(_on_signal(state)))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # the supervisor's workers are born without it
        beside = [asyncio.ensure_future(_sweep(spool)), asyncio.ensure_future(asyncio.to_thread(_warm, explains))]
        if state.supervised.pid:
            beside.append(asyncio.ensure_future(state.supervised.watch()))
        notify()
        yield
        for task in beside:
            task.cancel()
        await asyncio.to_thread(dispatcher.close)
        spool.close()

    app = FastAPI(
        title="FinSA-MoE", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan,
        description="Polarity (利空, 中性, 利好) of Chinese financial text by a mixture of LoRA experts.",
    )  # fmt: skip
    app.openapi_schema = None
    parts = (router, predict.router, files.router, page.router)
    routes = [*app.routes, *(route for part in parts for route in part.routes)]
    meters.expect(route.path for route in routes if isinstance(route, Route))
    for part in parts:
        app.include_router(part)
    _describe(app, token is not None)

    async def problem(request: Request, error: Exception) -> Response:
        found = error if isinstance(error, Problem) else FAULT
        meters.refused(found.kind)
        return found.response()

    async def http(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 400)
        meters.refused(str(status))
        headers = getattr(error, "headers", None)
        return Problem(status, str(status), str(getattr(error, "detail", "")) or "not answered").response(headers)

    async def query(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        places = [("/" + "/".join(map(str, each["loc"])), str(each["msg"])) for each in error.errors()]
        meters.refused("invalid")
        return Problem(422, "invalid", f"{places[0][0]}: {places[0][1]}", places[:20]).response()

    async def fault(request: Request, error: Exception) -> Response:
        return FAULT.response()  # the guard logs it, when it comes by there

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, query)
    app.add_exception_handler(Exception, fault)
    return Guard(app, meters, token, settings.per_client, log_texts=settings.log_texts)


def from_environment() -> ASGIApp:
    """The application of a worker process; one whose model does not open says why and ends it."""
    settings = Settings.from_environment()
    try:
        return create(settings, open_shelf(settings), settings.token())
    except FinSAError as error:
        log.error("a worker did not start: %s", error)
        raise SystemExit(STARTUP_FAILURE) from None


def notify() -> None:
    """Tell systemd that requests are answered now, where it started us and waits for that (`Type=notify`)."""
    place = os.environ.get("NOTIFY_SOCKET")
    if place:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(b"READY=1", f"\0{place[1:]}" if place.startswith("@") else place)


async def changed(state: State) -> Served:
    """Put the folder's model in service, off the event loop.

    Raises:
        FinSAError: If it does not open or answer; the old one stays.
    """
    before = state.shelf.served
    try:
        fresh = await asyncio.to_thread(state.shelf.reload)
    except FinSAError as error:
        state.meters.reloaded(done=False)
        log.error("not reloaded, the old model stays: %s", error)
        raise
    state.meters.reloaded(done=True)
    _tell(state.meters, fresh, before)
    log.info("reloaded: %s (%s)", fresh.name, fresh.predictor.engine.name)
    return fresh


async def _on_signal(state: State) -> None:
    if not state.supervised.echoed() or state.shelf.changed:
        with suppress(FinSAError):
            await changed(state)


def _tell(meters: Meters, served: Served, before: Served | None) -> None:
    meters.model(served.name, before=before.name if before else None)


def open_shelf(settings: Settings, *, whole: bool = True) -> Shelf:
    """The model that the settings name, opened and tried; `whole`: by its bulk engine as well.

    Raises:
        FinSAError: If it does not open or answer.
    """

    def opened() -> Any:
        from finsa_moe.face import is_exported, load

        threads = settings.threads
        if threads is None and settings.workers > 1 and is_exported(settings.model):
            threads = settings.lanes  # of a torch mixture the environment tells them
        return load(settings.model, engine=settings.engine, threads=threads, abstain_below=settings.abstain_below)

    return Shelf(opened, Path(settings.model) if settings.model else None, whole=whole)


def _threads(served: Served, settings: Settings) -> int:
    return settings.lanes if served.predictor.engine.concurrent else 1


def _warm(explains: bool) -> None:
    """Import what explains, which takes seconds, before the first who asks has to wait for it."""
    if explains:
        os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # it would compile for seconds what runs in milliseconds
        with suppress(ImportError):
            import rjieba  # noqa: F401
            import shap  # noqa: F401
    gc.collect()
    gc.freeze()  # or every full collection looks through all libraries, a tenth of a second in which nobody is answered


async def _sweep(spool: Spool) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        with suppress(OSError):
            await asyncio.to_thread(spool.sweep)


def _describe(app: FastAPI, token: bool) -> None:
    """Add what FastAPI cannot see to the OpenAPI: bodies read by hand, problems' media type, the token."""
    found = app.openapi()
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas["PredictRequest"] = PredictRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas["ProblemShape"] = ProblemShape.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, in whose place a problem is sent
        schemas.pop(name, None)
    for path in found["paths"].values():
        for operation in path.values():
            if operation["responses"].get("422", {}).get("description") == "Validation Error":
                del operation["responses"]["422"]  # FastAPI's, of every parameter, also of one that takes anything
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    shape = {"schema": {"$ref": "#/components/schemas/ProblemShape"}}
                    response["content"] = {"application/problem+json": shape}
    if token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    app.openapi_schema = found
