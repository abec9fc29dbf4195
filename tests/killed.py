"""Run a module that is killed as soon as it starts a certain program.

python tests/killed.py PART-OF-ITS-COMMAND MODULE [ARGUMENTS ...]
"""

import os
import runpy
import signal
import sys
from typing import Any

awaited, name = sys.argv[1:3]
sys.path[0] = ""  # as for `python -m`
sys.argv[1:] = sys.argv[3:]


def watch(event: str, details: Any) -> None:
    if event == "subprocess.Popen" and any(awaited in os.fsdecode(part) for part in details[1]):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(watch)
runpy.run_module(name, run_name="__main__", alter_sys=True)
