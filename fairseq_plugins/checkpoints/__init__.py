"""Checkpoints: read, written, averaged, their memories taken out and put back."""
