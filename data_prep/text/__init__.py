"""Parallel text: read, cleaned, mixed, split into pieces and binarised."""
