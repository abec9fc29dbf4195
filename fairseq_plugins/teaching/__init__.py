"""Filling memories from corpora, and translators that people teach.

``Translator`` is imported when it is asked for: the lessons alone need neither torch nor fairseq.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "Translator":
        from fairseq_plugins.teaching.translator import Translator

        return Translator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
