"""Omniglot's drawings and their splits."""
