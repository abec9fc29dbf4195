"""Vocabularies with byte fallback: pieces such as `<0xE2>` are put together to characters again."""

import re
from typing import Any

from fairseq.data import data_utils
from fairseq.data.encoders.sentencepiece_bpe import SentencepieceBPE

PIECE = r"<0x[0-9A-F]{2}>"
RUN = re.compile(rf"(?<!\S){PIECE}(?: {PIECE})*(?!\S)")  # whole pieces, with spaces around them

_post_process = data_utils.post_process
_decode = SentencepieceBPE.decode


def join_bytes(pieces: str) -> str:
    """Replace the pieces that stand for bytes by what the bytes spell in UTF-8.

    Args:
        pieces: With spaces between them.

    Returns:
        The same with one piece for each run of bytes; U+FFFD stands for what is not UTF-8.
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
