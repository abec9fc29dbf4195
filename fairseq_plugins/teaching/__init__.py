"""Fills memories from corpora, and provides translators that people can teach.

``Translator`` is imported on demand: lessons alone need neither torch nor fairseq.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "Translator":
        from fairseq_plugins.teaching.translator import Translator

        return Translator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
