"""The page at ``/``: a few files of our own, read once, sent with a fingerprint so that browsers keep them.

It knows the names of its files; a request names one of them or gets nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from finsa_moe.service.problems import Problem

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).parent / "page"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def assets() -> dict[str, tuple[bytes, str, str]]:
    """Content, media type and fingerprint of every file of the page, by name."""
    found = {}
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in KINDS:
            content = file.read_bytes()
            mark = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found[file.name] = (content, f"{KINDS[file.suffix]}; charset=utf-8", mark)
    return found


@router.head("/")
@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _sent(request, "index.html")


@router.head("/page/{name}")
@router.get("/page/{name}")
async def asset(request: Request, name: str) -> Response:
    """One of its files."""
    return _sent(request, name)


def _sent(request: Request, name: str) -> Response:
    if name not in assets():
        raise Problem(404, "404", "there is nothing of that name")
    content, kind, mark = assets()[name]
    headers = {"ETag": mark, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
