"""--replace-unk: names outside the dictionary survive translation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from fairseq_plugins.errors import InputError
from fairseq_plugins.patches.unknown_words import Alignment, copied_places

UNK = 3


def test_unknown_words_of_the_source_come_first_and_once() -> None:
    attention = torch.tensor([[0.9, 0.9, 0.9], [0.1, 0.05, 0.0], [0.0, 0.05, 0.1], [0, 0, 0]])
    source = [10, UNK, UNK, 2]
    assert copied_places([UNK, 11, UNK], attention, source, UNK) == {0: 1, 2: 2}
    assert copied_places([UNK, UNK, UNK], attention, source, UNK)[1] == 0


def test_where_the_source_is_known_attention_tells() -> None:
    attention = torch.tensor([[0.1], [0.2], [0.7]])  # most of all to the end of the sentence
    assert copied_places([UNK], attention, [10, 11, 2], UNK) == {0: 1}
    assert copied_places([UNK], torch.ones(1, 1), [2], UNK) == {}


def test_a_dictionary_of_replacements(tmp_path: Path) -> None:
    assert utils.load_align_dict(None) is None
    assert utils.load_align_dict("@@ ") == {}  # what the option is without a value
    path = tmp_path / "words"
    path.write_text("cat Katze\n")
    assert utils.load_align_dict(str(path)) == {"cat": "Katze"}
    path.write_text("cat\n")
    with pytest.raises(InputError, match=r"words: each line"):
        utils.load_align_dict(str(path))
    with pytest.raises(FileNotFoundError):
        utils.load_align_dict(str(tmp_path / "nowhere"))


def dictionary(*words: str) -> Dictionary:
    made = Dictionary()
    for word in words:
        made.add_symbol(word)
    return made


def test_pieces_are_joined_after_words_were_copied() -> None:
    target = dictionary("\u2581der", "\u2581", "s")
    tokens = torch.tensor([target.index(t) for t in ("\u2581der", "\u2581", "?", "s")] + [2])
    alignment = Alignment([], {2: "Zaphod"})

    def text(replacements: dict[str, str]) -> str:
        found = utils.post_process_prediction(
            tokens, "", alignment, replacements, target, "sentencepiece", {target.eos()}
        )
        return str(found[1])

    assert text({}) == "der Zaphods"
    assert text({"Zaphod": "Safod"}) == "der Safods"


def test_without_the_option_nothing_changes() -> None:
    target = dictionary("a")
    tokens = torch.tensor([target.index("a"), UNK, 2])
    assert utils.post_process_prediction(tokens, "", None, None, target)[1] == "a <unk>"


class Generator:
    """Translates every word to an unknown one, attending to it alone."""

    def __init__(self, moves_padding: bool) -> None:
        self.moves_padding = moves_padding

    def generate(self, models: Any, sample: Any, **_: Any) -> list[list[dict[str, Any]]]:
        found = []
        for row in sample["net_input"]["src_tokens"].tolist():
            length = sum(token != 1 for token in row)
            attention = torch.zeros(len(row), length)
            begin = 0 if self.moves_padding else len(row) - length
            attention[begin : begin + length] = torch.eye(length)
            tokens = torch.tensor([UNK] * (length - 1) + [2])
            found.append([{"tokens": tokens, "attention": attention, "alignment": torch.empty(0)}])
        return found


@pytest.mark.parametrize("moves_padding", [True, False])
def test_words_of_the_input_lines(moves_padding: bool) -> None:
    target = dictionary()
    task = TranslationTask(TranslationConfig(), dictionary("sees"), target)
    lines = ["Zaphod sees Trillian", "Ford sees Arthur", "sees Marvin", "sees sees"]
    tokens, _ = task.get_interactive_tokens_and_lengths(lines, lambda line: line)
    width = max(map(len, tokens))
    rows = torch.stack([torch.cat([torch.ones(width - len(t)).long(), t]) for t in tokens])
    sample = {"net_input": {"src_tokens": rows}}
    hypotheses = task.inference_step(Generator(moves_padding), [], sample)
    for line, (hypothesis,) in zip(lines, hypotheses, strict=True):
        found = utils.post_process_prediction(
            hypothesis["tokens"], "", hypothesis["alignment"], {}, target
        )
        assert found[1] == line


def test_sentences_of_the_same_length_stay_in_the_order_of_their_lines() -> None:
    task = TranslationTask(TranslationConfig(), dictionary("a"), dictionary())
    tokens, lengths = task.get_interactive_tokens_and_lengths(["a b"] * 20, lambda line: line)
    dataset = task.build_dataset_for_inference(tokens, lengths)
    assert dataset.ordered_indices().tolist() == list(range(20))
