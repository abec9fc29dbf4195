"""Fill, average, inspect and measure memories and checkpoints, and teach translators.

    fairseq-memory VERB --help

describes a verb, with an example.
"""
