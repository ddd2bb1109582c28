"""From settings to a service that listens: the address checked, the socket bound, workers started and looked after.

It starts uvicorn in this process, or its supervisor with several. It knows the application by its name only.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import uvicorn
from prometheus_client import multiprocess
from starlette.types import ASGIApp
from uvicorn.supervisors.multiprocess import Multiprocess

from finsa_moe.errors import ConfigError
from finsa_moe.service.app import SUPERVISED, create, open_shelf
from finsa_moe.service.guard import is_loopback
from finsa_moe.service.meters import TOGETHER
from finsa_moe.service.protocol import BoundedProtocol
from finsa_moe.service.settings import SHORTEST, TOKEN, Settings

APP = "finsa_moe.service.app:from_environment"
BACKLOG = 1024
"""Connections that may wait to be accepted."""
GRACE = 30
"""Seconds beyond the deadline for which requests may still be answered once the service was told to end."""
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "finsa": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
    },
}


class Supervisor(Multiprocess):
    """uvicorn's, but that SIGHUP has every worker reload its model instead of ending it, and counts of the dead go.

    A worker that starts meanwhile reloads once it is ready, and one that dies while it is asked for a sign of life is
    missed at once.
    """

    def handle_hup(self) -> None:
        """Pass the signal on."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.kill(process.process.pid, signal.SIGHUP)  # type: ignore[arg-type]

    def init_processes(self) -> None:
        """Start the workers."""
        with _reloads_held():
            super().init_processes()
        self._let_go()

    def _let_go(self) -> None:
        """Close the workers' ends of the pipes for signs of life: while they are open here, a dead one seems slow."""
        for process in self.processes:
            process.child_conn.close()

    def keep_subprocess_alive(self) -> None:
        """Start what has ended anew."""
        before = {process.pid for process in self.processes}
        with _reloads_held():
            super().keep_subprocess_alive()
        self._let_go()
        for pid in before - {process.pid for process in self.processes}:
            if pid is not None:
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


@contextmanager
def _reloads_held() -> Iterator[None]:
    """Processes started meanwhile are born with SIGHUP held back, which would end them before they listen to it."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows, which has no such signal
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000, say: Callable[[str], None] = print) -> None:
    """Serve until told to end by SIGINT or SIGTERM; what was taken is answered first, for the deadline and `GRACE`.

    The answer to a file may take longer than that: it is then broken off, as its client sees.

    Args:
        settings: Limits and places.
        host: Address to listen at.
        port: Port; 0 takes any that is free.
        say: Told where the service can be reached.

    Raises:
        ConfigError: For an address that cannot be had, or one that others can reach without a token.
    """
    if settings.token() is None and not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines; that asks for a token: --token-file F or {TOKEN}, "
            f"{SHORTEST} characters or more (openssl rand -hex 32 > F)"
        )
    # A folder that does not open is told here, before anything listens. With workers this process tries no bulk engine:
    # it would end by a fault in that engine's threads when it starts a worker anew. They try it themselves.
    shelf = open_shelf(settings, whole=settings.workers == 1)
    listening = bound(host, port)
    shown = listening.getsockname()
    with ExitStack() as stack:
        stack.callback(listening.close)
        spool = stack.enter_context(tempfile.TemporaryDirectory(prefix="finsa-serve-"))
        settings = replace(settings, spool=spool)
        settings.to_environment()
        alone = settings.workers == 1
        config = configured(create(settings, shelf) if alone else APP, settings)
        name = f"[{shown[0]}]" if ":" in shown[0] else shown[0]
        listening.listen(BACKLOG)  # who reads the address may ask at once, and waits until the service has come up
        say(f"http://{name}:{shown[1]}")
        if alone:
            server = uvicorn.Server(config)
            # uvicorn ends, then sends itself once more the signal that told it: our folders must still be removed. One
            # that comes before it listens to signals ends it too.
            signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
            server.run([listening])
            if not server.started:
                raise ConfigError("the service did not start; the lines above say why")
            return
        del shelf
        counts = stack.enter_context(tempfile.TemporaryDirectory(prefix="finsa-counts-"))
        os.environ[TOGETHER], os.environ[SUPERVISED] = counts, "1"
        stack.callback(os.environ.pop, TOGETHER)
        stack.callback(os.environ.pop, SUPERVISED)
        Supervisor(config, [listening]).run()


def configured(app: ASGIApp | str, settings: Settings) -> uvicorn.Config:
    """How uvicorn runs an application, or the one that worker processes make, named by `APP`."""
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=settings.workers,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips="127.0.0.1",
        timeout_keep_alive=30,
        backlog=BACKLOG,
        limit_concurrency=4096,
        timeout_graceful_shutdown=int(settings.deadline) + GRACE,
        timeout_worker_healthcheck=30,
    )


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address, not listening yet.

    Raises:
        ConfigError: If it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(f"{host}:{port}: {_refused(error)}") from None
    listening.set_inheritable(True)
    return listening


def _refused(error: OSError) -> str:
    """Why an address cannot be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "another program listens there, perhaps a service of ours; end it, or choose another --port (0: any)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "this user may not listen there; choose a --port of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return "this machine has no such address; choose another --host, such as 127.0.0.1"
    return f"the address cannot be had ({error.strerror or error}); choose another --host or --port"
