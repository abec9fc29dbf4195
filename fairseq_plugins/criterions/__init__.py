"""Training losses. Importing this package registers all of them."""

from fairseq_plugins.criterions import memory_cross_entropy

__all__ = ["memory_cross_entropy"]
