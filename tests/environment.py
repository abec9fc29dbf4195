"""Gives tests, and the programs that they start, the same environment on every machine.

It is imported before torch, which reads the number of threads when it is loaded.
"""

import os
import re
import sys

# What somebody has set for other programs: where these connect to, which language they speak, how
# wide, colourful or buffered they write, which repository they work on, and which rank they are.
FOREIGN = re.compile(
    r"\w+_proxy|lang(uage)?|lc_\w+|columns|lines|\w*color\w*"
    r"|python(unbuffered|warnings|ioencoding|dontwritebytecode)"
    r"|tqdm_\w+|mplbackend|matplotlibrc|hydra_\w+|git_\w+|pip_\w+"
    r"|(local_)?rank|world_size|master_(addr|port)|slurm_\w+",
    re.IGNORECASE,
)

for _name in [name for name in os.environ if FOREIGN.fullmatch(name)]:
    del os.environ[_name]
sys.dont_write_bytecode = False  # of hundreds of programs, the first one compiles the modules
# One thread: faster for small tensors, and the same sums on every machine.
os.environ["OMP_NUM_THREADS"] = "1"
