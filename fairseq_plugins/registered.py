"""Importing this module makes all our tasks, models and criterions known to fairseq.

Every package that has fairseq build one of them imports it.
"""

from fairseq_plugins import criterions, models, patches, tasks

__all__ = ["criterions", "models", "patches", "tasks"]
