"""Registers all tasks, models and criterions with fairseq when it is imported.

Every package in which fairseq builds one of them imports this module.
"""

from fairseq_plugins import criterions, models, patches, tasks

__all__ = ["criterions", "models", "patches", "tasks"]
