"""fairseq tasks. Importing this package registers all of them."""

from fairseq_plugins.tasks import omniglot, translation_memory

__all__ = ["omniglot", "translation_memory"]
