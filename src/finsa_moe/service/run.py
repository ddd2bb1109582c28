"""From settings to a service that listens: the address checked, the socket bound, workers started and looked after.

It starts uvicorn in this process, or its supervisor with several. It knows the application by its name only.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import uvicorn
from prometheus_client import multiprocess
from starlette.types import ASGIApp
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from finsa_moe.errors import ConfigError
from finsa_moe.service.app import create, open_shelf
from finsa_moe.service.descriptors import raise_limit
from finsa_moe.service.folders import COUNTS, SPOOL, own_folder, remove_dead
from finsa_moe.service.guard import is_loopback
from finsa_moe.service.meters import TOGETHER
from finsa_moe.service.protocol import IDLE_SECONDS, BoundedProtocol
from finsa_moe.service.settings import SHORTEST, TOKEN, Settings
from finsa_moe.service.supervised import SUPERVISED

log = logging.getLogger("finsa.serve")
APP = "finsa_moe.service.app:from_environment"
BACKLOG = 1024
"""Connections that may wait to be accepted."""
GRACE = 30
"""Seconds beyond the deadline for which requests may still be answered once the service was told to end."""
LONGEST_PAUSE = 60.0
"""Seconds between two starts of a worker, at most, after some that failed."""
THREADS = "OMP_NUM_THREADS"
"""Tells a worker's torch, which our own setting does not reach, its share of the cores."""
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "finsa": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
    },
}


class Supervisor(Multiprocess):
    """uvicorn's, but that SIGHUP has every worker reload its model instead of ending it, and counts of the dead go.

    A worker that starts meanwhile reloads once it is ready, and one that dies while it is asked for a sign of life is
    missed at once. One that ends before it is ready is started anew, later and later, once any has been ready; where
    all end before that, the service ends.

    Attributes:
        failed: Whether it ended because no worker could start, and not because it was told to.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.failed = False
        self._ready: set[Process] = set()
        self._served = False  # whether any worker has been ready
        self._failures: Counter[int] = Counter()  # starts that failed in a row, by the worker's place
        self._due: dict[Process, float] = {}  # when what has ended is started anew

    def handle_hup(self) -> None:
        """Pass the signal on; what has ended, whose id may be another's by now, is started anew at once instead."""
        for process in self.processes:
            if process in self._due:
                self._due[process] = time.monotonic()
                continue
            with suppress(ProcessLookupError):
                os.kill(process.process.pid, signal.SIGHUP)  # type: ignore[arg-type]

    def init_processes(self) -> None:
        """Start the workers."""
        self.processes = [self._started() for _ in range(self.processes_num)]

    def _started(self) -> Process:
        """A new worker; its end of the pipe for signs of life is closed here: open, a dead one seems slow."""
        process = Process(self.config, self.sockets)
        with _reloads_held():
            process.start()
        process.child_conn.close()
        return process

    def handle_ttin(self) -> None:
        """One worker more."""
        self.processes_num += 1
        self.processes.append(self._started())

    def keep_subprocess_alive(self) -> None:
        """Start what has ended anew."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process not in self._due:
                if self._lives(place, process):
                    continue
                process.kill()  # it may hang
                process.join()
                multiprocess.mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
                self._miss(place, process)
            if self._served and time.monotonic() >= self._due[process]:
                del self._due[process]
                self.processes[place] = self._started()
        if not self._served and self._due.keys() >= set(self.processes):
            self.failed = True
            self.should_exit.set()

    def _lives(self, place: int, process: Process) -> bool:
        patience = self.config.timeout_worker_healthcheck
        if not process.is_alive(patience):
            return False
        if process not in self._ready and process.is_ready(patience):
            self._ready.add(process)
            self._failures[place], self._served = 0, True
        return True

    def _miss(self, place: int, process: Process) -> None:
        """Say how a worker has ended, and settle when it is started anew."""
        code = process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        how += " (the system lacks memory, or it gave no sign of life)" if code == -9 else ""
        pause = 0.0
        if process in self._ready:
            log.error("a worker ended %s; it is started anew", how)
        else:
            pause = min(LONGEST_PAUSE, 2.0 ** self._failures[place])
            self._failures[place] += 1
            then = f"; it is started anew in {pause:g} seconds" if self._served else ""
            log.error("a worker ended %s before it was ready%s", how, then)
        self._ready.discard(process)
        self._due[process] = time.monotonic() + pause


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    """Variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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


@contextmanager
def _hangups_ignored() -> Iterator[None]:
    """SIGHUP ends nothing until what reloads by it listens."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@_hangups_ignored()
def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000, say: Callable[[str], None] = print) -> None:
    """Serve until told to end by SIGINT or SIGTERM; what was taken is answered first, for the deadline and `GRACE`.

    The answer to a file may take longer than that: it is then broken off, as its client sees.

    Args:
        settings: Limits and places.
        host: Address to listen at.
        port: Port; 0 takes any that is free.
        say: Told where the service can be reached.

    Raises:
        ConfigError: For an address that cannot be had, or one that others can reach without a token; where it ends
            without having been told to.
    """
    token = settings.token()
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines; that asks for a token: --token-file F or {TOKEN}, "
            f"{SHORTEST} characters or more (openssl rand -hex 32 > F)"
        )
    # A folder that does not open is told here, before anything listens. With workers this process tries no bulk engine:
    # it would end by a fault in that engine's threads when it starts a worker anew. They try it themselves.
    shelf = open_shelf(settings, whole=settings.workers == 1)
    raise_limit()
    listening = bound(host, port)
    shown = listening.getsockname()
    with ExitStack() as stack:
        stack.callback(listening.close)
        remove_dead()
        spool = stack.enter_context(own_folder(SPOOL))
        settings = replace(settings, spool=spool)
        alone = settings.workers == 1
        config = configured(create(settings, shelf, token) if alone else APP, settings)
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
        counts = stack.enter_context(own_folder(COUNTS))
        left = settings.to_environment(token) | {TOGETHER: counts, SUPERVISED: str(os.getpid())}
        left[THREADS] = os.environ.get(THREADS, str(settings.lanes))
        stack.enter_context(_environment(left))
        supervisor = Supervisor(config, [listening])
        supervisor.run()
        if supervisor.failed:
            raise ConfigError("no worker started; the lines above say why")


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
        proxy_headers=settings.behind_proxy or settings.proxies is not None,
        forwarded_allow_ips=settings.proxies,  # None: FORWARDED_ALLOW_IPS, else 127.0.0.1
        timeout_keep_alive=IDLE_SECONDS,
        backlog=BACKLOG,
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
