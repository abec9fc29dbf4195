"""Layers of the models: plain torch modules, independent of fairseq."""
