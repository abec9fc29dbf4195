"""Work on checkpoints and memories: fill them, average them, look into them, measure them.

    fairseq-memory VERB --help

explains a verb, with an example.
"""
