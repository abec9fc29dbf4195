"""What tests rely on: a program from the server behaves like a separate process."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.programs import LONGEST, Program, cold, run

WAYS = {"from the server": nullcontext, "in a new process": cold}


@pytest.fixture(params=WAYS)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs source code as a script, and tells what came of it."""

    def run_source(source: str, *arguments: str, **options: Any) -> Any:
        path = tmp_path / "program.py"
        path.write_text(source)
        with WAYS[request.param]():
            return run(sys.executable, path, *arguments, **options)

    return run_source


def test_streams_arguments_folder_and_environment(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    done = start(
        "import os, sys\n"
        "print(sys.stdin.read(), sys.argv[1:], os.getcwd(), os.environ['SOME'], __name__)\n"
        "print(sys.argv[0], sys.path[0], file=sys.stderr)\n",
        "a b", "c", stdin="given", cwd=tmp_path, env=os.environ | {"SOME": "thing"},
    )  # fmt: skip
    assert done.stdout == f"given ['a b', 'c'] {tmp_path} thing __main__\n"
    assert done.stderr == f"{tmp_path / 'program.py'} {tmp_path}\n"
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("source", "status", "told"),
    [
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no such thing')", 1, "no such thing\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import sys\n"
         "sys.excepthook = lambda *_: print('told', file=sys.stderr)\n"
         "1 / 0", 1, "told\n"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
        ("import os; os._exit(7)", 7, ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt\n"),
        ("import atexit; atexit.register(print, 'at exit', file=__import__('sys').stderr)", 0,
         "at exit\n"),
        ("import threading\n"
         "def late():\n"
         "    threading.main_thread().join()\n"
         "    print('late', file=__import__('sys').stderr)\n"
         "threading.Thread(target=late).start()", 0, "late\n"),
    ],
)  # fmt: skip
def test_ends(start: Callable[..., Any], source: str, status: int, told: str) -> None:
    done = start(source)
    assert done.returncode == status
    assert done.stderr.endswith(told) and bool(done.stderr) == bool(told)


def test_nothing_of_ours_is_imported_before(start: Callable[..., Any]) -> None:
    done = start(
        "import logging, sys\n"
        "print({name.partition('.')[0] for name in sys.modules} & "
        "{'fairseq_plugins', 'data_prep', 'fairseq_cli', 'tests'}, logging.root.handlers)\n"
    )
    assert done.stdout == "set() []\n"


def test_programs_of_programs(start: Callable[..., Any], tmp_path: Path) -> None:
    inner = tmp_path / "inner.py"
    inner.write_text("import os; print(os.getcwd(), flush=True); raise SystemExit(5)")
    done = start(
        "import subprocess, sys\n"
        f"print(subprocess.run([sys.executable, {str(inner)!r}], cwd='/').returncode)\n"
    )
    assert done.stdout == "/\n5\n"


WAITS = "import sys; print('begun', flush=True); sys.stdin.read()"


def test_a_program_is_killed_while_a_thread_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(WAITS)
    command = [sys.executable, tmp_path / "slow.py"]
    with Program(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout and program.stdout.readline() == b"begun\n"
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(0.01)
        waiting = threading.Thread(target=program.wait)
        waiting.start()
        assert program.poll() is None
        program.kill()
        waiting.join(LONGEST)
        assert program.returncode == -signal.SIGKILL


def test_it_is_the_server_that_starts_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the tests above would compare a thing with itself."""
    (tmp_path / "modules.py").write_text("import sys; print('torch' in sys.modules)")
    command = [sys.executable, tmp_path / "modules.py"]
    assert run(*command).stdout == "True\n"
    with cold():
        assert run(*command).stdout == "False\n"
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")  # what torch reads while it is imported
    assert run(*command).stdout == "False\n"
