"""The server of a translator: an HTTP API, and a page for people.

It needs the packages of the extra ``server``. Only ``fairseq-memory serve`` imports this package.
"""
