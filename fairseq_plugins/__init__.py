"""fairseq plug-in: ``fairseq-train --user-dir fairseq_plugins``.

Importing it registers all tasks, models and criterions, and does nothing else.
"""

from fairseq_plugins import criterions, models, patches, tasks

__all__ = ["criterions", "models", "patches", "tasks"]
