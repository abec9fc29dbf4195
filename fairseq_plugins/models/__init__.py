"""fairseq models. Importing this package registers all of them."""

from fairseq_plugins.models import (
    extended_neural_gpu,
    gnmt,
    gnmt_memory,
    mann,
    neural_gpu,
    omniglot_convnet_memory,
    remembering,
)

__all__ = [
    "extended_neural_gpu",
    "gnmt",
    "gnmt_memory",
    "mann",
    "neural_gpu",
    "omniglot_convnet_memory",
    "remembering",
]
