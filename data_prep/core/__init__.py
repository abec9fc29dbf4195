"""Shared by all programs of data preparation."""
