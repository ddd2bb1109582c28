"""``POST /v1/predict/file``: a file in, the same file with answers added out, as a stream or with its progress told.

Every row comes back in order; one that cannot be answered says why in the last column. The rows go through the
dispatcher a portion at a time, so that a file never keeps others from their answers.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

from finsa_moe.data.reading.rows import EMPTY, Batch
from finsa_moe.errors import DataError
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.rows import read
from finsa_moe.runtime.writers import lines_into
from finsa_moe.service.bodies import check_head, media_type
from finsa_moe.service.inspect import Found, inspect
from finsa_moe.service.predict import known_domain, too_long
from finsa_moe.service.problems import Problem
from finsa_moe.service.served import Served
from finsa_moe.service.shapes import ASKED, refusals
from finsa_moe.service.spool import ANSWERS, ENDINGS, ending_of, saved_as, shown_as, written
from finsa_moe.service.state import State, of
from finsa_moe.service.streamed import Streamed
from finsa_moe.service.summary import Summary
from finsa_moe.service.uploads import no_storage, received

router = APIRouter()
PORTION = 512
REFUSED = "refused"
BARE = "; send the file itself as the body, in no form: curl --data-binary @F -H 'Content-Type: text/csv'"
EVENTS = "text/event-stream"
TYPES = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
    "application/octet-stream": None,
}
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES}
        | {
            "text/csv": {"schema": {"type": "string"}, "example": "date,text\n2026-07-31,放量突破前高\n"},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"text": "放量突破前高"}\n'},
        },
    }
}
FORMATS: dict[str, Any] = {kind.partition(";")[0]: {} for kind in ENDINGS.values()}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file with the answers added, or events: `progress`, then `done` or `problem`",
        "content": FORMATS | {EVENTS: {}},
    }
}
_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The file with the answers added", "content": FORMATS}}


@dataclass
class Upload:
    """One file being answered."""

    state: State
    served: Served
    path: Path
    ending: str
    called: str
    domain: str | None
    bom: bool


@router.post(
    "/v1/predict/file", response_class=Response, openapi_extra=_UPLOAD, tags=["predict"],
    responses=refusals(*ASKED, 408, 413, 415, 422, 503, 507) | _ANSWER,
)  # fmt: skip
async def predict_file(
    request: Request,
    name: Annotated[
        str, Query(max_length=255, description="What the file is called; its ending may tell the format")
    ] = "",
    text: Annotated[str | None, Query(max_length=255, description="Column of the text, or several: title+body")] = None,
    id: Annotated[str | None, Query(max_length=255, description="Column of the id")] = None,  # noqa: A002
    domain: Annotated[
        str | None, Query(max_length=255, description="Expert to use instead of the router's choice")
    ] = None,
    bom: Annotated[bool, Query(description="Start CSV with a mark, so that Excel opens it")] = False,
) -> Response:
    """Answer every row of a CSV, TSV, JSON lines or Parquet file, and add the answers to it.

    With `Accept: text/event-stream` the progress is told instead, and in the end where the answer can be fetched.
    """
    state = of(request)
    check_head(request, state.settings.max_file, tuple(TYPES), BARE)
    ending = ending_of(name) or TYPES[media_type(request)]
    if ending is None:
        said = f"a Content-Type that names the format, or a name ending in {', '.join(ENDINGS)}, is needed"
        raise Problem(415, "media-type", said)
    served = state.shelf.served
    known_domain(domain, served, "/query/domain")
    path = await received(request, ending, state)

    def release() -> None:
        state.files -= 1
        path.unlink(missing_ok=True)

    try:
        called = saved_as(name, ending).removesuffix(ANSWERS + ending) + ending
        found = await asyncio.to_thread(
            inspect, path, called, served.domains, state.settings.max_rows, state.settings.max_columns, text=text, id=id
        )
        upload = Upload(state, served, path, ending, called, domain, bom)
        if EVENTS in request.headers.get("accept", ""):
            quiet = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            return Streamed(_events(upload, found), release, media_type=EVENTS, headers=quiet)
        return Streamed(
            _stream(upload, found), release, made_first=ending == ".parquet", media_type=ENDINGS[ending],
            headers=shown_as(saved_as(called, ending)),
        )  # fmt: skip
    except BaseException:
        release()
        raise


@router.get("/v1/files/{asked}", response_class=Response, responses=refusals(*ASKED, 404) | _FILE, tags=["predict"])
async def fetch(request: Request, asked: str) -> Response:
    """The answer to a file, for a while after it was made."""
    found = await asyncio.to_thread(of(request).spool.find, asked)
    if found is None or not found[1].is_file():
        raise Problem(404, "no-file", "there is no such answer, or not any more; send the file again")
    kept, path = found
    return FileResponse(path, media_type=ENDINGS[kept.ending], headers=shown_as(kept.name))


async def _portions(upload: Upload, found: Found, summary: Summary) -> AsyncIterator[list[list[object]]]:
    """The rows of the answer, at most `PORTION` at a time, in the order of the file."""
    layout, state = found.layout, upload.state
    most, long = state.settings.max_chars, too_long(upload.served, state)
    blank = [None] * len(layout.added)
    text_at = layout.text_at
    batches: Iterator[Batch] = read(upload.path)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        waiting: list[tuple[int, list[object]]] = []
        for broken in batch.broken:
            cells: list[object] = [None] * len(layout.names)
            if layout.types.get(layout.text[0]) is None:
                cells[text_at[0]] = broken.text
            waiting.append((broken.line, [*layout.row(f"row-{broken.line}", cells, blank), broken.reason]))
        lines, rows = batch.lines, batch.rows
        unfit = batch.set_apart(text_at)
        whole = dict(zip(lines, rows, strict=True)) if unfit else {}
        for broken in unfit:
            row = whole[broken.line]
            key = layout.key(row, f"row-{broken.line}")
            waiting.append((broken.line, [*layout.row(key, row, blank), broken.reason]))
        waiting.sort(key=itemgetter(0), reverse=True)  # the next one is the last
        texts = batch.texts(text_at)
        for start in range(0, len(batch.rows), PORTION):
            part = texts[start : start + PORTION]
            asked = [text if 0 < len(text) <= most else " " for text in part]
            answers = await state.dispatcher.submit(upload.served, asked, upload.domain, bounded=False, many=True)
            state.meters.answers(answer for answer, text in zip(answers, part, strict=True) if len(text) <= most)
            done: list[list[object]] = []
            for at, answer in enumerate(answers, start):
                row, line = batch.rows[at], batch.lines[at]
                while waiting and waiting[-1][0] < line:
                    done.append(waiting.pop()[1])
                key = layout.key(row, f"row-{line}")
                if isinstance(answer, Prediction):
                    summary.add(row, answer.label)
                    done.append([*layout.row(key, row, list(answer.answers().values())), None])
                else:
                    done.append([*layout.row(key, row, blank), long if len(texts[at]) > most else EMPTY])
            for some in _cut(done):
                yield some
        for some in _cut([row for _, row in reversed(waiting)]):
            yield some


def _cut(rows: list[list[object]]) -> Iterator[list[list[object]]]:
    return (rows[start : start + PORTION] for start in range(0, len(rows), PORTION))


async def _stream(upload: Upload, found: Found) -> AsyncIterator[bytes]:
    """The answer, as it is made; Parquet, which ends with its table of contents, at the end."""
    summary = Summary(found.layout.names)
    names = [*found.layout.columns, _free(found)]
    if upload.ending == ".parquet":
        part = await _written(upload, found, summary, lambda rows: None)
        try:
            with part.open("rb") as file:
                while chunk := await asyncio.to_thread(file.read, 1 << 16):
                    yield chunk
        finally:
            part.unlink(missing_ok=True)
        return
    text = io.StringIO()
    sink = lines_into(text, names, upload.ending, found.layout.types)
    mark = "\ufeff" if upload.bom and upload.ending in (".csv", ".tsv") else ""
    async for rows in _portions(upload, found, summary):
        await asyncio.to_thread(sink.write, rows)
        yield (mark + text.getvalue()).encode("utf-8", "ignore")
        mark = ""
        text.seek(0)
        text.truncate()


async def _written(upload: Upload, found: Found, summary: Summary, told: Callable[[int], None]) -> Path:
    """The whole answer in a file of the spool; 507 where the disk does not take it."""
    part = upload.state.spool.new(upload.ending)
    names, done = [*found.layout.columns, _free(found)], 0
    try:
        async with written(part, names, {**found.layout.types, names[-1]: str}, bom=upload.bom) as write:
            async for rows in _portions(upload, found, summary):
                await write(rows)
                done += len(rows)
                told(done)
    except DataError as error:  # the rows were read once, so what fails now is the disk
        raise no_storage(error) from error
    return part


async def _events(upload: Upload, found: Found) -> AsyncIterator[bytes]:
    summary, began = Summary(found.layout.names), time.perf_counter()
    steps: asyncio.Queue[int] = asyncio.Queue()
    yield _event("progress", {"rows": 0, "of": found.rows})
    work = asyncio.ensure_future(_written(upload, found, summary, steps.put_nowait))
    try:
        while not work.done():
            step = asyncio.ensure_future(steps.get())
            await asyncio.wait({work, step}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            if step.done():
                yield _event("progress", {"rows": step.result(), "of": found.rows})
                continue
            step.cancel()
            if not work.done():
                yield b": still at work\n\n"  # so that no proxy takes the silence for the end
        try:
            part = work.result()
            kept = upload.state.spool.finish(part, upload.ending, saved_as(upload.called, upload.ending))
        except (Problem, OSError) as error:
            problem = error if isinstance(error, Problem) else no_storage(error)
            upload.state.meters.refused(problem.kind)
            yield _event("problem", problem.body())
            return
        yield _event("progress", {"rows": found.rows, "of": found.rows})
        table = summary.table()
        answered = sum(table["all"].values())  # type: ignore[attr-defined]
        yield _event("done", {
            "rows": found.rows, "answered": answered, "refused": found.rows - answered,
            "seconds": round(time.perf_counter() - began, 3), "file": f"/v1/files/{kept.id}", "name": kept.name,
            "model": upload.served.name, **table,
        })  # fmt: skip
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await work


def _free(found: Found) -> str:
    name = REFUSED
    while name in found.layout.columns:
        name = f"predicted_{name}"
    return name


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
