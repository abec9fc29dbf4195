"""fairseq tasks. Importing this package registers all of them."""

from fairseq_plugins.tasks import algorithmic, omniglot, translation_memory

__all__ = ["algorithmic", "omniglot", "translation_memory"]
