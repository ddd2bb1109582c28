"""``POST /v1/predict``: texts in, answers out, within the deadline or not at all.

Checks the request, has the dispatcher answer it, and withdraws it when its client leaves. Explanations are made one
after another on an engine thread, after the answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from finsa_moe.errors import closest, install
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.service.bodies import check_head, left, whole
from finsa_moe.service.dispatcher import Full
from finsa_moe.service.guard import EXPLAINED
from finsa_moe.service.problems import SHOWN, Problem, invalid, not_json, unavailable
from finsa_moe.service.served import Served
from finsa_moe.service.settings import Settings
from finsa_moe.service.shapes import ASKED, PredictRequest, PredictResponse, faults, refusals, wire
from finsa_moe.service.state import State, of

router = APIRouter()
T = TypeVar("T")
SOON = 0.05  # most answers come sooner; only for later ones is it worth watching whether the client is still there
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}}},
    }
}


def _parsed(body: bytes) -> Any:
    """A body as JSON; half an emoji, as posts cut in its midst have, is no character and dropped, as from files.

    Raises:
        ValueError: If it is not JSON.
    """
    try:
        return from_json(body)
    except ValueError as error:  # Python's own parser takes halves; both are told in pydantic's words
        try:
            whole = json.dumps(json.loads(body.decode()), ensure_ascii=False)
            return from_json(whole.encode("utf-8", "ignore"))
        except (ValueError, RecursionError):
            raise error from None


def _read(body: bytes, settings: Settings) -> PredictRequest:
    """A request as its schema has it.

    Raises:
        Problem: 400 for what is not JSON, 422 for more texts than are taken or anything else than the schema says.
    """
    try:
        asked = _parsed(body)
    except ValueError as error:
        raise not_json(error) from None
    if isinstance(asked, dict):  # first, as pydantic would keep a thousand bytes for each of millions of wrong entries
        texts = asked.get("texts")
        if isinstance(texts, list) and len(texts) > settings.max_texts:
            _check_count(len(texts), asked.get("explain") is True, settings)
        known = PredictRequest.model_fields
        unknown = [name for name in asked if name not in known]
        for name in unknown[SHOWN:]:
            del asked[name]
    try:
        return PredictRequest.model_validate(asked)
    except ValidationError as error:
        raise invalid(error) from None


@router.post(
    "/v1/predict",
    response_model=PredictResponse,
    responses=refusals(*ASKED, 400, 408, 413, 415, 422, 503),
    openapi_extra=_BODY,
    tags=["predict"],
)
async def predict(request: Request) -> Response:
    """Polarity of one text or many, in order: 利空, 中性 or 利好, how sure, and which expert answered."""
    state = of(request)
    settings = state.settings
    check_head(request, settings.max_body, ("application/json",))
    body = await whole(request, settings.max_body, settings.body_seconds)
    asked = _read(body, settings)
    texts = asked.texts
    served = state.shelf.served
    _check(texts, asked, served, state)
    if asked.explain:
        request.scope[EXPLAINED] = True
    explained = len(texts) if asked.explain else 0
    allowed = settings.deadline * (1 + explained) + state.dispatcher.own(texts, served)
    content = await in_time(request, _answer(state, served, texts, asked), allowed)
    return Response(content, media_type="application/json")


async def in_time(request: Request, work: Awaitable[T], seconds: float) -> T:
    """What `work` gives; it is cancelled when the client leaves or the time is over.

    Raises:
        Problem: 503 when the time is over, or when the queue is full.
    """
    task = asyncio.ensure_future(work)
    watch: asyncio.Task[None] | None = None
    try:
        done: set[asyncio.Future[Any]]
        done, _ = await asyncio.wait({task}, timeout=min(SOON, seconds))
        if not done:
            watch = asyncio.ensure_future(left(request))
            either: set[asyncio.Future[Any]] = {task, watch}
            done, _ = await asyncio.wait(either, timeout=seconds - SOON, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if watch in done:
            raise ClientDisconnect
        raise unavailable("deadline", f"not answered within {seconds:.1f} seconds; ask again later", seconds)
    except Full as full:
        detail = f"about {full.seconds:.1f} seconds of work are waiting; ask again later"
        raise unavailable("full", detail, full.seconds) from None
    finally:
        task.cancel()
        if watch is not None:
            watch.cancel()


async def _answer(state: State, served: Served, texts: list[str], asked: PredictRequest) -> bytes:
    answers = await state.dispatcher.submit(served, texts, asked.domain)
    state.meters.answers(answers)
    if empty := faults(answers):
        raise Problem(422, "empty", f"{empty[0][0]}: {empty[0][1]}", empty[:20])
    explained: list[Any] = [None] * len(texts)
    if asked.explain:
        for at, text in enumerate(texts):
            work = lambda text=text: served.explain(text, asked.domain, state.settings.evaluations)  # noqa: E731
            explained[at] = await state.dispatcher.job(work, bounded=at == 0, then=len(texts) - at - 1)
    found = [
        wire(answer, scores=asked.scores, explanation=why)
        for answer, why in zip(answers, explained, strict=True)
        if isinstance(answer, Prediction)
    ]
    return json.dumps({"predictions": found, "model": served.name}, ensure_ascii=False).encode("utf-8", "replace")


def known_domain(domain: str | None, served: Served, where: str) -> None:
    """Refuse an expert that the model does not have.

    Raises:
        Problem: 422 naming the experts there are.
    """
    if domain is not None and domain not in served.domains:
        known = list(served.domains)
        near = closest(domain[:40], known)
        said = f"no such expert; this model has {', '.join(known)}{near}; null leaves it to the router"
        raise Problem(422, "domain", f"{where}: {said}", [(where, said)])


def too_long(served: Served, state: State) -> str:
    """Why a text over the limit is refused."""
    return f"over {state.settings.max_chars:,} characters; the model reads {served.max_length} tokens of it: cut it"


def _check_count(texts: int, explain: bool, settings: Settings) -> None:
    most = settings.max_explained if explain else settings.max_texts
    if not 1 <= texts <= most:
        said = f"{texts:,} texts; {'with explain ' if explain else ''}1 to {most:,} are taken"
        raise Problem(422, "count", f"/texts: {said}", [("/texts", said)])


def _check(texts: list[str], asked: PredictRequest, served: Served, state: State) -> None:
    settings = state.settings
    _check_count(len(texts), asked.explain, settings)
    known_domain(asked.domain, served, "/domain")
    long = [at for at, text in enumerate(texts) if len(text) > settings.max_chars]
    if long:
        said = too_long(served, state)
        where = f"/texts/{long[0]}"
        raise Problem(422, "long", f"{where}: {said}", [(where, said)])
    blank = [at for at, text in enumerate(texts) if not text.strip()]
    if blank:
        said = "the text holds nothing to read; drop it or fill it"
        raise Problem(422, "empty", f"/texts/{blank[0]}: {said}", [(f"/texts/{at}", said) for at in blank[:20]])
    if asked.explain and not state.explains:
        said = f"this service cannot explain; on its machine: {install('explain')}"
        raise Problem(422, "no-explain", f"/explain: {said}", [("/explain", said)])
