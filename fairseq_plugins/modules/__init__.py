"""Layers that the models are built of: plain torch modules, no fairseq."""
