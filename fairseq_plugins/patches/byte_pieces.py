"""Vocabularies with byte fallback: joins pieces such as `<0xE2>` into characters."""

import re
from typing import Any

from fairseq.data import data_utils
from fairseq.data.encoders.sentencepiece_bpe import SentencepieceBPE

PIECE = r"<0x[0-9A-F]{2}>"
RUN = re.compile(rf"(?<!\S){PIECE}(?: {PIECE})*(?!\S)")  # whole pieces, separated by spaces

_post_process = data_utils.post_process
_decode = SentencepieceBPE.decode


def join_bytes(pieces: str) -> str:
    """Replace runs of byte pieces with the text that they spell in UTF-8.

    Args:
        pieces: separated by spaces.

    Returns:
        The same with one piece for each run of bytes; U+FFFD marks what is not UTF-8.
    """

    def spelled(run: re.Match[str]) -> str:
        return bytes.fromhex(re.sub("<0x|>", "", run[0])).decode("utf-8", "replace")

    return RUN.sub(spelled, pieces)


def _post_process_bytes(sentence: str, symbol: str | None) -> Any:
    return _post_process(join_bytes(sentence) if symbol == "sentencepiece" else sentence, symbol)


def _decode_bytes(self: SentencepieceBPE, pieces: str) -> Any:
    return _decode(self, join_bytes(pieces))


data_utils.post_process = _post_process_bytes
SentencepieceBPE.decode = _decode_bytes
