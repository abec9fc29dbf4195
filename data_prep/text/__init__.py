"""Reads, cleans, mixes, splits into pieces and binarises parallel text."""
