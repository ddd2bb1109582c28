"""A chat endpoint on loopback that behaves as it is told, request by request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the behaviour that is next, the last one over and over."""

    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, body, dict(self.headers)))
            at = min(len(self.server.requests), len(self.server.behaviours)) - 1
        self.server.behaviours[at](self, body)

    def reply(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    daemon_threads = True

    def __init__(self, *behaviours: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours, self.lock = behaviours, threading.Lock()
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        pass  # clients that have left


@contextmanager
def serving(*behaviours: Behaviour) -> Iterator[Server]:
    server = Server(*behaviours)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def says(answer: str | Callable[[str], str]) -> Behaviour:
    """Answers in the form it was asked in; a callable makes the answer of the last message."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        text = answer(body["messages"][-1]["content"]) if callable(answer) else answer
        message = {"role": "assistant", "content": text}
        if handler.path.endswith("/api/chat"):
            found: dict[str, Any] = {"message": message, "prompt_eval_count": 7, "eval_count": 3, "done": True}
        else:
            found = {"choices": [{"message": message}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
        handler.reply(200, json.dumps(found, ensure_ascii=False).encode())

    return behave


def status(code: int, content: bytes = b"no", **headers: str) -> Behaviour:
    return lambda handler, body: handler.reply(code, content, **headers)


def raw(content: bytes) -> Behaviour:
    return lambda handler, body: handler.reply(200, content)


def slow(seconds: float) -> Behaviour:
    def behave(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(seconds)
        says("late")(handler, body)

    return behave


def closes(handler: Handler, body: dict[str, Any]) -> None:
    """Closes before an answer."""
    handler.connection.close()


def breaks_off(handler: Handler, body: dict[str, Any]) -> None:
    """Says how long the answer is and leaves in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"mess')
    handler.wfile.flush()
    handler.connection.close()
