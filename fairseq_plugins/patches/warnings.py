"""Silences warnings about fairseq's own age, which its users cannot act on."""

import logging
import warnings

# fairseq calls hydra and torch in ways that they have since deprecated, and asks for pinned memory
# on machines without accelerator.
ABOUT_FAIRSEQ: tuple[tuple[str, type[Warning]], ...] = (
    (r"hydra\.experimental\.\w+\(\) is no longer experimental", UserWarning),
    (r"\nThe version_base parameter is not specified", UserWarning),
    (r"In '.*': Usage of deprecated keyword in package header", UserWarning),
    (r"\n'.*' is validated against ConfigStore schema", UserWarning),
    (r"\nThe strict flag in the compose API is deprecated", UserWarning),
    (r"'pin_memory' argument is set as true but no accelerator", UserWarning),
    (r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated", FutureWarning),
)


def silence() -> None:
    """Silence these warnings, and what hydra logs while fairseq-interactive starts."""
    for message, category in ABOUT_FAIRSEQ:
        warnings.filterwarnings("ignore", message=message, category=category)
    logging.getLogger("hydra").setLevel(logging.INFO)
