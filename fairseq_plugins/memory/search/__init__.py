"""Nearest neighbours among the keys."""
