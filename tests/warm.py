"""One process that has torch, transformers and peft loaded; a command is a fork of it, which spares a run of many their imports.

`programs()` leaves `finsa` and `python` in a folder: put first on a path, each sends its arguments, folder, environment and
streams to that process and ends as the fork does. A fork is killed when who asked is. What a library reads of the
environment while it is imported (`OMP_NUM_THREADS`) is the warm process's: a call that sets it otherwise changes nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

LOADED = (
    "torch",
    "transformers",
    "transformers.modeling_utils",
    "peft",
    "accelerate",
    "sklearn.feature_extraction.text",
)
PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as call:
    call.connect({address!r})
    socket.send_fds(call, [b"."], [0, 1, 2])
    call.sendall(json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
    call.shutdown(socket.SHUT_WR)
    sys.exit(int(call.recv(8) or b"1"))
"""


@contextlib.contextmanager
def programs() -> Iterator[Path]:
    """A folder of programs that answer as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is a short one
        address = f"{folder}/socket"
        for name in ("finsa", "python"):
            program = Path(folder, name)
            program.write_text(PROGRAM.format(python=sys.executable, address=address, name=name), encoding="utf-8")
            program.chmod(0o755)
        command = [sys.executable, "-m", "tests.warm", address]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == b"loaded\n"
                yield Path(folder)
            finally:
                server.kill()


def answer(address: str) -> None:
    """Wait for calls; return in a fork that has become the process that a call asked for."""
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # or each fork's first collection copies it all
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who watches a call is waited for by nobody
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("loaded", flush=True)
        while True:
            if (
                sys.stdin in select.select([listener, sys.stdin], [], [])[0]
            ):  # closed: whose process this is has been killed
                os._exit(0)
            call, _ = listener.accept()
            if os.fork() == 0:
                break
            call.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(call, 1, 3)
    with call.makefile("rb") as told:
        name, words, folder, environment = json.loads(told.read())
    child = os.fork()
    if child:
        watch(child, call)
    for at, stream in enumerate(streams):
        os.dup2(stream, at)
        os.close(stream)
    call.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [name, *words]


def watch(child: int, call: socket.socket) -> None:
    """Tell the caller how the child ended; end the child where the caller has."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(call, 0)  # its hanging up
    if ended not in dict(poll.poll()):
        os.kill(child, signal.SIGKILL)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    call.sendall(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def become() -> None:
    """Run what `sys.argv` asks for, as the interpreter or the installed command would."""
    name, *words = sys.argv
    if words[:1] == ["-u"]:  # a launcher's wish for unbuffered streams
        del words[0]
    if name == "finsa":
        from finsa_moe.cli import entry

        entry()
    elif words[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *words[2:]], ""
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    elif words[0] == "-m":
        sys.argv, sys.path[0] = words[1:], ""
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = words, str(Path(words[0]).resolve().parent)
        runpy.run_path(words[0], run_name="__main__")


def end(status: object) -> None:
    """Leave as an interpreter does, but for the taking apart of all that is loaded, which takes seconds."""
    atexit._run_exitfuncs()
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError):  # closed
            stream.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    answer(sys.argv[1])
    try:
        become()
    except SystemExit as stop:
        end(stop.code)
    except BaseException:
        traceback.print_exc()
        end(1)
    end(0)
