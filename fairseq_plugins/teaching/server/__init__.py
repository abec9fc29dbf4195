"""The server of a translator: an HTTP API, and the page on which a person works with it.

It needs the packages of the extra ``server``. Only ``fairseq-memory serve`` imports it.
"""
