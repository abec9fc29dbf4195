"""fairseq architectures. Importing this package registers all of them."""

from fairseq_plugins.models import gnmt, gnmt_memory, mann, omniglot_convnet_memory

__all__ = ["gnmt", "gnmt_memory", "mann", "omniglot_convnet_memory"]
