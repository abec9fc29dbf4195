"""fairseq architectures. Importing this package registers all of them."""

from fairseq_plugins.models import gnmt, gnmt_memory, mann, neural_gpu, omniglot_convnet_memory

__all__ = ["gnmt", "gnmt_memory", "mann", "neural_gpu", "omniglot_convnet_memory"]
