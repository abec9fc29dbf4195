"""Metrics of translations, drawings and algorithms."""

from fairseq_plugins import registered

__all__ = ["registered"]
