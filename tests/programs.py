"""Programs of Python, started in milliseconds: a server that has imported torch and fairseq forks.

:class:`Program` is ``subprocess.Popen``, but a command that runs a Python program comes from the
server (:mod:`tests.program_server`): same arguments, folder, environment, streams, signals and
exit status. ``tests/conftest.py`` puts it in the place of ``subprocess.Popen``, so that commands
which the code under test starts come from there, too. What belongs to this project is imported
afresh in every program; only other people's packages are there before.
"""

import atexit
import contextlib
import inspect
import multiprocessing.connection
import os
import pickle
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Popen = subprocess.Popen  # before anything takes its place
SERVER = Path(__file__).with_name("program_server.py")
SOURCE = Path(__file__).with_name("source.py")
FULL_DISK = Path(__file__).with_name("full_disk.py")
KILLED = Path(__file__).with_name("killed.py")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
ADDRESS = "TEST_PROGRAM_SERVER"  # the environment variable that tells programs where it listens
LONGEST = 900.0  # seconds; what takes longer hangs, on however slow a machine
NUMBER = struct.Struct("i")  # how the server tells a process number or an exit status
# Variables that packages read while they are imported. (The number of threads can be set later.)
READ_AT_IMPORT = ("PYTHON", "LD_", "ATEN_", "DNNL_", "FAISS_", "MKL_", "NPY_", "ONEDNN_", "TORCH_")


def read_at_import(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that change what is imported."""
    return {name: text for name, text in environment.items() if name.startswith(READ_AT_IMPORT)}


AT_START = read_at_import(os.environ)  # what the server saw, too
_lock = threading.Lock()
_warm = True
_started = ""  # where the server listens that this process has started


class Program(Popen):
    """A process, forked by the server where its command runs a Python program."""

    def _execute_child(self, *given: Any) -> None:
        bound = inspect.signature(Popen._execute_child).bind(self, *given)
        start = bound.arguments
        environment = os.environ if start["env"] is None else start["env"]
        arguments = python_program(start["args"], environment)
        special = start["shell"] or start["preexec_fn"] or start["executable"] or start["pass_fds"]
        if special or arguments is None or not (_warm and server_suits(environment)):
            super()._execute_child(*given)
            return
        sys.audit("subprocess.Popen", None, start["args"], start["cwd"], start["env"])
        job = {
            "arguments": arguments,
            "folder": os.fspath(start["cwd"] or os.getcwd()),
            "environment": dict(environment) | {ADDRESS: address()},
            "new_session": start["start_new_session"],
        }
        streams = [start[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        try:
            self._server = socket.socket(socket.AF_UNIX)
            self._server.connect(address())
            descriptors = [own if own != -1 else number for number, own in enumerate(streams)]
            socket.send_fds(self._server, [b"\0"], descriptors)
            self._server.sendall(pickle.dumps(job))
            self._server.shutdown(socket.SHUT_WR)
            self.pid = self._told()
        finally:
            names = "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"
            self._close_pipe_fds(*(start[name] for name in names))
        self._child_created = True

    def _told(self) -> int:
        message = self._server.recv(NUMBER.size, socket.MSG_WAITALL)
        if len(message) < NUMBER.size:
            raise RuntimeError("the server of programs has died")
        return int(NUMBER.unpack(message)[0])

    def _internal_poll(self, *given: Any, **more: Any) -> int | None:
        if not hasattr(self, "_server"):
            return super()._internal_poll(*given, **more)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if not hasattr(self, "_server"):
            return super()._wait(timeout)
        while self.returncode is None:  # threads may wait for the same program
            if not multiprocessing.connection.wait([self._server], timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._waitpid_lock:
                if self.returncode is None:
                    self.returncode = self._told()
        return self.returncode


def python_program(command: Any, environment: Mapping[str, str]) -> list[str] | None:
    """Return what follows ``python`` in a command; None if it is not a Python program of ours.

    Args:
        command: as for ``subprocess``. A script of this interpreter's folder is one;
            ``python -c`` is not, for what is imported then is often what a test is about
            (``SOURCE`` is a script that does the same).
        environment: tells where commands are.
    """
    if not isinstance(command, Sequence) or isinstance(command, str | bytes):
        return None
    name, *rest = map(os.fspath, command)
    path = shutil.which(name, path=environment.get("PATH"))
    if path == sys.executable:
        known = rest and (rest[0] == "-m" or rest[0].endswith(".py"))
        return rest if known else None
    if path and Path(path).parent == Path(sys.executable).parent:
        with open(path, "rb") as file:
            begin, interpreter = file.read(2), os.fsdecode(file.readline().strip())
        if begin == b"#!" and Path(interpreter).parent == Path(path).parent:
            return [path, *rest]
    return None


def address() -> str:
    """Return where the server listens, whether this process started it or came from it."""
    return _started or os.environ.get(ADDRESS, "")


def server_suits(environment: Mapping[str, str]) -> bool:
    """Start the server if there is none; say whether its imports saw such an environment."""
    with _lock:
        if not address():
            start_server()
    return read_at_import(environment) == AT_START


def start_server() -> str:
    """Start the server; return where it listens until this process ends."""
    global _started
    folder = tempfile.mkdtemp()
    socket_path = f"{folder}/socket"
    server = Popen(
        [sys.executable, SERVER, socket_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin and server.stdout
    if not server.stdout.readline():
        raise RuntimeError("the server of programs did not start")
    _started = socket_path
    owner = os.getpid()

    def end() -> None:
        if os.getpid() != owner:  # a test has forked
            return
        server.kill()  # it would go when its stdin ends, but a child of a test may hold that
        server.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    return socket_path


@contextlib.contextmanager
def cold() -> Iterator[None]:
    """Start programs as users do meanwhile, without the server."""
    global _warm
    _warm = False
    try:
        yield
    finally:
        _warm = True


def run(*command: object, stdin: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text."""
    options = {"timeout": LONGEST} | options
    command = tuple(str(part) for part in command)
    return subprocess.run(command, input=stdin, capture_output=True, text=True, **options)


def fairseq(name: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run one of fairseq's programs to its end."""
    return run(Path(sys.executable).with_name(f"fairseq-{name}"), *arguments, **options)


def script(name: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program of ``scripts/`` to its end."""
    return run(sys.executable, SCRIPTS / f"{name}.py", *arguments, **options)


def verb(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``fairseq-memory`` to its end."""
    return module("fairseq_plugins.cli", *arguments, **options)


def module(name: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m name`` to its end."""
    return run(sys.executable, "-m", name, *arguments, **options)


def module_on_full_disk(room: int, name: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run ``python -m name`` where no file may have more than ``room`` bytes."""
    return run(sys.executable, FULL_DISK, room, name, *arguments)


def kill_module(awaited: str, name: str, *arguments: object) -> None:
    """Run ``python -m name``, and kill it as soon as it starts a certain program.

    Args:
        awaited: part of the command of that program.
        name: of the module.
        arguments: for it.
    """
    done = run(sys.executable, KILLED, awaited, name, *arguments)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Fail the test if a program failed; return what it wrote, stdout first."""
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Check that a program ended with status 1 and one line of advice, which holds all parts."""
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and done.stderr.splitlines()[-1] == errors[0]
    assert all(part in errors[0] for part in parts), errors[0]
