"""Errors as RFC 9457 problem details: one JSON shape for all, naming the field, never a trace and never a text.

A `Problem` is raised anywhere below the routes; its answer is made here. It knows no route.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

MEDIA = "application/problem+json"
SHOWN = 20
"""Most places of a request that a problem names."""
_LONGEST = 80
_JSON = {"list_type": "Input should be a valid array", "model_type": "Input should be an object"}  # not Python's words


class Problem(Exception):  # noqa: N818 - the RFC's name
    """A request that is not answered.

    Args:
        status: HTTP status.
        kind: A short name that programs can act on; the last part of the problem's type.
        detail: One sentence on what was wrong and what is allowed.
        errors: Places in the request: a JSON pointer or a field's name, and what is wrong there.
        retry_after: Seconds after which the same request may do.
    """

    def __init__(
        self, status: int, kind: str, detail: str, errors: Iterable[tuple[str, str]] = (),
        retry_after: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.errors = [{"pointer": pointer, "detail": said} for pointer, said in errors]
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """The problem as RFC 9457 has it."""
        title = HTTPStatus(self.status).phrase
        found = {"type": f"urn:finsa:{self.kind}", "title": title, "status": self.status, "detail": self.detail}
        return {**found, "errors": self.errors} if self.errors else found

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to be sent."""
        more = dict(headers or {})
        if self.retry_after is not None:
            more["Retry-After"] = str(self.retry_after)
        if self.status == HTTPStatus.UNAUTHORIZED:
            more["WWW-Authenticate"] = 'Bearer realm="finsa"'
        content = json.dumps(self.body(), ensure_ascii=False).encode("utf-8", "replace")
        return Response(content, self.status, more, media_type=MEDIA)


def invalid(error: ValidationError) -> Problem:
    """The problem of a body that is not what the schema says: every field at fault, its content left out."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:SHOWN]
    places = [(_place(each["loc"]), _JSON.get(each["type"], str(each["msg"]))) for each in found]
    where, what = places[0]
    return Problem(422, "invalid", f"{where or 'the body'}: {what}", places)


def _place(parts: tuple[int | str, ...]) -> str:
    """The parts as a JSON pointer; a name is the client's and may be megabytes long."""
    names = (name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in map(str, parts))
    return "".join(f"/{name}" for name in names)


def not_json(error: ValueError) -> Problem:
    """The problem of a body that a parser refused, in the parser's words."""
    what = f"Invalid JSON: {error}"
    return Problem(400, "not-json", f"the body is not JSON: {what}", [("", what)])


def unavailable(kind: str, detail: str, seconds: float) -> Problem:
    """A 503 that says when to come again."""
    return Problem(503, kind, detail, retry_after=max(1, min(60, round(seconds + 0.5))))
