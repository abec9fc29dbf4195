"""Checkpoints: read, written, averaged, their memories taken out and put back."""

from fairseq_plugins import registered

__all__ = ["registered"]
