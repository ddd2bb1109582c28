"""The labelling page over HTTP, for the person at this machine and nobody else.

The standard library's server on the loopback address, one page, one call. A secret in the path, and checks of Host and
Origin, keep out what other sites' pages send, or what reaches us under another name. It knows nothing of labels.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
from base64 import b64encode
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.labelling.desk import Desk

LOOPBACK = "127.0.0.1"
PAGE = Path(__file__).with_name("page.html")
_LONGEST = 1 << 16  # bytes of a request


class LabelServer(ThreadingHTTPServer):
    """Serves one desk until `shutdown`; `url` is what to open.

    Args:
        desk: What the page works on.
        port: 0 takes any that is free.

    Raises:
        ConfigError: If the port is taken or not allowed.
    """

    daemon_threads = True

    def __init__(self, desk: Desk, port: int = 0) -> None:
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"--port {port}: {error}; leave it out to take one that is free") from error
        self.desk = desk
        self.secret = secrets.token_urlsafe(24)
        self.page = PAGE.read_bytes()
        self.policy = _policy(self.page)

    @property
    def url(self) -> str:
        """The page's address, with its secret."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.secret}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser that opened the page calls this server; another name is a site's that points here."""
        return (f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing where a tab was closed before its answer was whole; of any other fault the traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """The page."""
        if self._allowed("/"):
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)

    def do_POST(self) -> None:
        """One action: a JSON object of strings in, what to show next out."""
        if not self._allowed("/act"):
            return
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if self.headers.get("Origin") != f"http://{self.headers['Host']}" or kind != "application/json":
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _LONGEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        try:
            asked = json.loads(self.rfile.read(int(length)))
            if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
                raise TypeError("an object of strings is expected")
            shown = self.server.desk.act(**asked)
        except DataError as error:
            self._say(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (ValueError, TypeError, RecursionError):
            self._say(HTTPStatus.BAD_REQUEST, {"error": "not an action of this page"})
        else:
            self._say(HTTPStatus.OK, shown)

    def _allowed(self, path: str) -> bool:
        """Whether the request comes from the page at its own address; if not it is answered here."""
        if self.headers.get("Host") not in self.server.hosts:
            self._refuse(HTTPStatus.FORBIDDEN)
            return False
        if not hmac.compare_digest(self.path.encode(), f"/{self.server.secret}{path}".encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
            return False
        return True

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # what was sent along is left unread
        self._send(status, "text/plain; charset=utf-8", status.phrase.encode())

    def _say(self, status: HTTPStatus, entry: dict[str, object]) -> None:
        self._send(status, "application/json", json.dumps(entry, ensure_ascii=False).encode("utf-8", "ignore"))

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "same-origin")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing: the secret is in every path."""


def _policy(page: bytes) -> str:
    """The page's own style and script, by their hashes, and its own server; nothing else."""

    def inline(tag: bytes) -> str:
        body = page.partition(b"<" + tag + b">")[2].partition(b"</" + tag + b">")[0]
        return f"'sha256-{b64encode(sha256(body).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {inline(b'style')}; script-src {inline(b'script')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
