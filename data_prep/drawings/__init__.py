"""Omniglot's drawings and how they are split."""
