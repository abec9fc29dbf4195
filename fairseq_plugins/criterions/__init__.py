"""Training losses. Importing this package registers all of them."""

from fairseq_plugins.criterions import memory_cross_entropy, one_shot, sequence_episodes

__all__ = ["memory_cross_entropy", "one_shot", "sequence_episodes"]
