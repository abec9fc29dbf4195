"""Forks programs: the server behind :mod:`tests.programs`.

    python tests/program_server.py SOCKET

It imports what is slow to import and belongs to others, and then waits. For each command line it
forks a supervisor, which forks the program, tells its process number, and in the end its exit
status. It ends when its standard input does. Nothing here may start a thread before the fork.
"""

import atexit
import contextlib
import gc
import importlib
import logging
import multiprocessing.process
import os
import pickle
import runpy
import select
import signal
import socket
import sys
import threading
from pathlib import Path

from programs import NUMBER, Program  # the folder of this file is on the path

OTHERS = (
    "torch torch._dynamo torch.distributed torch.nn.parallel torch.profiler "
    "torch.utils.tensorboard numpy scipy.stats fairseq fairseq.tasks fairseq.models "
    "fairseq.criterions fairseq.optim fairseq.trainer fairseq.checkpoint_utils "
    "fairseq.dataclass.initialize fairseq.sequence_generator hydra hydra.core.config_store "
    "hydra._internal.hydra hydra._internal.utils matplotlib.pyplot "
    "matplotlib.backends.backend_agg matplotlib.backends.backend_svg faiss ftfy pooch "
    "py3langid requests sacrebleu sacremoses safetensors.torch sentencepiece tensorboardX "
    "tqdm yaml PIL.Image http.server sqlite3 concurrent.futures.thread "
    "fairseq.quantization_utils fairseq.model_parallel.megatron_trainer "
    "fairseq.data.data_utils_fast fairseq.binarizer sacrebleu.tokenizers.tokenizer_13a "
    "hydra._internal.core_plugins.basic_launcher omegaconf._impl antlr4.LL1Analyzer "
    "multiprocessing.popen_fork sqlalchemy.dialects.sqlite fastapi uvicorn.protocols.http.h11_impl "
    "uvicorn.lifespan.on jinja2"
)


def main() -> None:
    """Import, wait; in a program, become it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(128)
        print("ready", flush=True)  # to be asked; whoever asks waits for the imports
        import_others()
        arguments = serve(listener)
    os._exit(exit_status(arguments))


def import_others() -> None:
    """Import other people's packages."""
    gc.disable()  # most of what imports make lives to the end
    for name in OTHERS.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    parse_once()
    ours = {"fairseq_plugins", "data_prep", "fairseq_cli", "tests"} & set(sys.modules)
    assert not ours, ours  # programs import those
    logging.root.handlers.clear()  # fairseq writes a log of its own when it is the first to
    logging.root.setLevel(logging.WARNING)
    assert threading.active_count() == 1, threading.enumerate()
    gc.enable()
    gc.collect()
    gc.freeze()  # or the collector would copy every page


def parse_once() -> None:
    """Read a command line as fairseq's programs do, so that hydra's parser knows its grammar."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    parser = options.get_generation_parser()
    convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, ["data", "--path", "x"]))


def serve(listener: socket.socket) -> list[str]:
    """Answer requests; return only in a program, what follows ``python`` on its command line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for supervisors
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return supervise(connection)
        connection.close()
    os._exit(0)


def supervise(connection: socket.socket) -> list[str]:
    """Fork the program, and tell how it ends; return only in it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as file:
        request = file.read()
    if not request:  # whoever asked was killed meanwhile
        os._exit(0)
    child = os.fork()
    if child == 0:
        connection.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return begin(descriptors, **pickle.loads(request))
    for descriptor in {*descriptors, 0, 1, 2}:
        os.close(descriptor)
    with contextlib.suppress(OSError):  # whoever asked may be gone
        connection.sendall(NUMBER.pack(child))
        _, status = os.waitpid(child, 0)
        connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def begin(
    descriptors: list[int],
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    new_session: bool,
) -> list[str]:
    """Take the streams, folder and environment that a new process would have."""
    if new_session:
        os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    multiprocessing.process.ORIGINAL_DIR = folder
    sys.modules["numpy"].random.seed()
    if threads := environment.get("OMP_NUM_THREADS"):
        sys.modules["torch"].set_num_threads(int(threads))
    sys.modules["subprocess"].Popen = Program
    return arguments


def exit_status(arguments: list[str]) -> int:
    """Run a program as the interpreter would, up to what it does at exit.

    It leaves out only to take itself apart, which takes longer than most of our programs.
    """
    status = 0
    try:
        run(arguments)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            status = (end.code or 0) & 0xFF
        else:
            print(end.code, file=sys.stderr)
            status = 1
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120
    if status == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    return status


def run(arguments: list[str]) -> None:
    """Do what ``python`` does with these arguments."""
    first, *rest = arguments
    if first == "-m":
        sys.argv, sys.path[0] = rest, os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main()
