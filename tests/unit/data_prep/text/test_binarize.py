"""Dictionaries contain every token once, the most frequent first, unseen ones last."""

from collections import Counter
from pathlib import Path

from fairseq.data import Dictionary

from data_prep.text.binarize import count_tokens, write_dictionary


def test_tokens_of_all_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("the cat the\n", "utf-8")
    (tmp_path / "b").write_text("die katze\nthe\n", "utf-8")
    counts = count_tokens([tmp_path / "a", tmp_path / "b"])
    assert counts == {"the": 3, "cat": 1, "die": 1, "katze": 1}


def test_dictionary_is_ranked_by_count_then_alphabet(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "dict", Counter(b=1, c=2, a=1), others=["new", "c"])
    assert (tmp_path / "dict").read_text("utf-8") == "c 2\na 1\nb 1\nnew 0\n"


def test_fairseq_loads_the_dictionary(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "dict", Counter({"\u2581Haus": 3, "<unk>": 2, "#": 1}), ["Kelmora"])
    dictionary = Dictionary.load(str(tmp_path / "dict"))
    assert dictionary.symbols[dictionary.nspecial :] == ["\u2581Haus", "#", "Kelmora"]
    assert dictionary.count[dictionary.index("Kelmora")] == 0
