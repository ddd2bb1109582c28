"""What every request passes before the routes: where it comes from, who asks, how many at once; and what every answer
gets: security headers, and a problem in the place of any error nobody foresaw.

An ASGI layer round the whole application. It knows paths by their beginning only and reads no body.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
import traceback
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finsa_moe.service.meters import OTHER, Meters
from finsa_moe.service.problems import Problem

log = logging.getLogger("finsa.serve")
OPEN = {"/healthz", "/readyz", "/", "/openapi.json"}
EXPLAINED = "finsa.explained"
"""Stands in the scope of a request that asks for explanations."""
CROWDED = "finsa.crowded"
"""Stands in the scope of a request on a connection that was one too many."""
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]
FAULT = Problem(500, "fault", "the service failed on this request; its log says where")


class Guard:
    """Wraps the application.

    Args:
        app: What answers.
        meters: Where requests are counted.
        token: What a request must bear; None asks for nothing and takes requests to a loopback name or address only.
        per_client: Most requests of one address at once.
        log_texts: Whether messages of unforeseen errors, which may quote a text, are logged.
    """

    def __init__(
        self, app: ASGIApp, meters: Meters, token: bytes | None, per_client: int, *, log_texts: bool = False
    ) -> None:
        self.app, self.meters, self.token = app, meters, token
        self.per_client, self.log_texts = per_client, log_texts
        self._now: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        self.meters.begin()
        client = (scope.get("client") or ("local",))[0]
        self._now[client] += 1
        status = 499  # the client left

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            if CROWDED in scope and scope["path"] != "/healthz":  # or whoever looks after the service would end it
                raise Problem(503, "connections", "too many connections are open; ask again later", retry_after=1)
            self._admit(scope, self._now[client])
            await self.app(scope, receive, tell)
        except Problem as problem:
            self.meters.refused(problem.kind)
            if status == 499:
                await problem.response()(scope, receive, tell)
        except ClientDisconnect:
            status = 499  # whatever starlette has since sent to nobody
        except Exception as error:
            self._log(error, getattr(scope.get("route"), "path", OTHER))
            self.meters.refused("fault")
            if status == 499:
                await FAULT.response()(scope, receive, tell)
            elif status != 500:
                status = 500
                raise ConnectionAbortedError("answer broken off") from None  # a begun answer must not look whole
        finally:
            self._now[client] -= 1
            if not self._now[client]:
                del self._now[client]
            route = scope.get("route")
            took = time.perf_counter() - began
            self.meters.end(getattr(route, "path", OTHER), status, took, explained=EXPLAINED in scope)

    def _admit(self, scope: Scope, at_once: int) -> None:
        path: str = scope["path"]
        headers = {name: value for name, value in scope["headers"] if name in (b"host", b"origin", b"authorization")}
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self.token is None and not is_loopback(_name(host)):
            # a page of another site could otherwise reach this one by a name that it points here
            raise Problem(421, "host", "without a token only requests to localhost or a loopback address are answered")
        origin = headers.get(b"origin")
        if origin is not None and _site(origin.decode("latin-1")) != host:
            raise Problem(403, "origin", "pages of other sites may not ask this service")
        if at_once > self.per_client and path not in OPEN:
            raise Problem(
                429, "too-many", f"more than {self.per_client} requests at once from one address", retry_after=1
            )
        if self.token is None or path in OPEN or path.startswith("/page/"):
            return
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self.token):
            raise Problem(401, "token", "this service asks for a token: Authorization: Bearer …")

    def _log(self, error: Exception, route: str) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames[-6:]))
        said: Any = f": {error}" if self.log_texts else ""
        log.error("unforeseen %s%s on %s at %s", type(error).__name__, said, route, where)


def _name(host: str) -> str:
    """A Host header without its port, and without the brackets of an IPv6 address."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _site(origin: str) -> str | None:
    """Host and port of an Origin header; None where it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
