"""Converts raw text and images to what the tasks load.

Each module here is a command-line program (`python -m data_prep.parallel`, `.multi30k`,
`.toy_corpus`, ...) or a part of one.
"""
