"""Warnings about fairseq's own age, which its users cannot act upon, are silenced."""

import logging
import warnings

# fairseq calls hydra and torch in ways that they have since deprecated, and asks for pinned memory
# on machines without accelerator; torch's sparse matrices do all that is wanted of them.
for _message, _category in (
    (r"hydra\.experimental\.\w+\(\) is no longer experimental", UserWarning),
    (r"\nThe version_base parameter is not specified", UserWarning),
    (r"In '.*': Usage of deprecated keyword in package header", UserWarning),
    (r"\n'.*' is validated against ConfigStore schema", UserWarning),
    (r"\nThe strict flag in the compose API is deprecated", UserWarning),
    (r"'pin_memory' argument is set as true but no accelerator", UserWarning),
    (r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated", FutureWarning),
    (r"Sparse CSR tensor support is in beta state", UserWarning),
):
    warnings.filterwarnings("ignore", message=_message, category=_category)
logging.getLogger("hydra").setLevel(logging.INFO)  # fairseq-interactive shows even its DEBUG lines
