"""Reads, writes and averages checkpoints, and extracts and replaces their memories."""

from fairseq_plugins import registered

__all__ = ["registered"]
