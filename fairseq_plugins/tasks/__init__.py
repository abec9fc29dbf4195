"""fairseq tasks. Importing this package registers all of them."""

from fairseq_plugins.tasks import translation_memory

__all__ = ["translation_memory"]
