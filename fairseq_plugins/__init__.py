"""fairseq plug-in: ``fairseq-train --user-dir fairseq_plugins``.

Importing it registers all tasks, models and criterions, and does nothing else.
"""

from fairseq_plugins import compat, criterions, models, tasks

__all__ = ["compat", "criterions", "models", "tasks"]
