"""Run a module where no file may become large, as on a disk that is nearly full.

python tests/full_disk.py BYTES MODULE [ARGUMENTS ...]
"""

import resource
import runpy
import sys

room, name = int(sys.argv[1]), sys.argv[2]
sys.path[0] = ""  # as for `python -m`
sys.argv[1:] = sys.argv[3:]
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
runpy.run_module(name, run_name="__main__", alter_sys=True)
