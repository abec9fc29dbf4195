"""What is done about quirks of fairseq, hydra, numpy and torch: a file for each family.

Importing this package applies all of them. In fairseq's own programs, bad input is shown as one
line.
"""

import sys
from pathlib import Path

from fairseq_plugins.errors import one_line_errors
from fairseq_plugins.patches import averages, checkpoints, gradients, trainings, warnings

__all__ = ["averages", "checkpoints", "gradients", "trainings", "warnings"]

_program = Path(sys.argv[0])
if _program.name.startswith("fairseq-") or _program.parent.name == "fairseq_cli":
    one_line_errors()
