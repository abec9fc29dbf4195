"""`--replace-unk` of fairseq-generate and fairseq-interactive, for words outside the dictionary.

A name that the vocabulary cannot spell is decoded as `<unk>`. With `--replace-unk`, the word of the
input line takes its place. fairseq's own option looks for a file named `@@ ` if it is given without
a value, expects an alignment that its search no longer makes, and copies `<unk>` if the source word
is also unknown, because it keeps only the numbers of interactive input.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fairseq import tokenizer, utils
from fairseq.data import Dictionary, data_utils
from fairseq.dataclass.configs import GenerationConfig
from fairseq.tasks.translation import TranslationTask
from torch import Tensor

from fairseq_plugins.errors import InputError

# Value of the option if no file is named.
NO_FILE = GenerationConfig.__dataclass_fields__["replace_unk"].metadata["argparse_const"]
INPUT_LINES = "input_lines"  # attribute of a task: words of each line, by its token numbers
ORIGINAL = "get_original_text"  # method of datasets that are read from text

_load_align_dict = utils.load_align_dict
_post_process_prediction = utils.post_process_prediction
_inference_step = TranslationTask.inference_step
_get_tokens_and_lengths = TranslationTask.get_interactive_tokens_and_lengths
_build_dataset = TranslationTask.build_dataset_for_inference


class Alignment(list):
    """fairseq's alignment of a hypothesis, and the source words of its unknown words.

    Attributes:
        words: source word by target position.
    """

    def __init__(self, pairs: Iterable[Any], words: Mapping[int, str]) -> None:
        super().__init__(pairs)
        self.words = words


def copied_places(
    target: Sequence[int], attention: Tensor, source: Sequence[int], unk: int
) -> dict[int, int]:
    """Choose the source word for each unknown word of a hypothesis.

    Unknown source words come first, each once, along the strongest attention. The remaining ones
    get the word with the most attention.

    Args:
        target: tokens of the hypothesis.
        attention: [source, target], of each target token to the source.
        source: tokens of the source; the last one ends the sentence.
        unk: the token of all unknown words, in both languages.

    Returns:
        Source position by target position.
    """
    length = len(source) - 1
    wanted = [t for t, token in enumerate(target) if token == unk and t < attention.size(1)]
    unknown = [s for s in range(length) if source[s] == unk]
    links = sorted((-float(attention[s, t]), t, s) for t in wanted for s in unknown)
    chosen: dict[int, int] = {}
    for _, t, s in links:
        if t not in chosen and s not in chosen.values():
            chosen[t] = s
    for t in wanted:
        if t not in chosen and length:
            chosen[t] = int(attention[:length, t].argmax())
    return chosen


def _load_align_dict_if_named(replace_unk: str | None) -> dict[str, str] | None:
    try:
        return _load_align_dict("" if replace_unk == NO_FILE else replace_unk)  # type: ignore[no-any-return]
    except (IndexError, UnicodeDecodeError) as error:
        raise InputError(
            f"{replace_unk}: each line of a dictionary for --replace-unk is a source word, a space "
            "and its translation, in UTF-8"
        ) from error


def _keep_input_lines(
    self: TranslationTask, lines: Sequence[str], encode_fn: Callable[[str], str]
) -> tuple[list[Tensor], list[int]]:
    encoded = [encode_fn(line) for line in lines]
    tokens, lengths = _get_tokens_and_lengths(self, encoded, lambda line: line)
    kept: dict[tuple[int, ...], deque[list[str]]] = defaultdict(deque)
    for numbers, line in zip(tokens, encoded, strict=True):
        kept[tuple(numbers.tolist())].append(tokenizer.tokenize_line(line))
    setattr(self, INPUT_LINES, kept)
    return tokens, lengths


def _build_dataset_in_order(self: TranslationTask, *args: Any, **options: Any) -> Any:
    dataset = _build_dataset(self, *args, **options)
    dataset.shuffle = False  # sentences of the same length stay in the order of their lines
    return dataset


def _source_words(
    task: TranslationTask, sample: Mapping[str, Any], row: int, tokens: Sequence[int]
) -> Sequence[str]:
    """Return the words of a source sentence, as they were written if this is known."""
    lines = getattr(task, INPUT_LINES, {}).get(tuple(tokens))
    texts = [d.src for d in task.datasets.values() if hasattr(getattr(d, "src", None), ORIGINAL)]
    words: list[str] = []
    if lines:  # sentences with the same numbers are translated in their order
        words = lines.popleft()
    elif "id" in sample and texts:
        words = tokenizer.tokenize_line(texts[0].get_original_text(int(sample["id"][row])))
    known = len(words) == len(tokens) - 1  # except for the end of the sentence
    return words if known else [task.source_dictionary[token] for token in tokens[:-1]]


def _inference_step_with_words(
    self: TranslationTask, generator: Any, models: Any, sample: Any, *args: Any, **options: Any
) -> list[list[dict[str, Any]]]:
    found = _inference_step(self, generator, models, sample, *args, **options)
    unk = self.target_dictionary.unk()
    for row, hypotheses in enumerate(found):
        lacking = [one for one in hypotheses if unk in one["tokens"] and _has_attention(one)]
        if lacking or hasattr(self, INPUT_LINES):
            _copy_words(self, sample, row, lacking)
    return found  # type: ignore[no-any-return]


def _has_attention(hypothesis: Mapping[str, Any]) -> bool:
    attention = hypothesis.get("attention")
    return attention is not None and attention.dim() == 2  # empty if the model provides none


def _copy_words(
    task: TranslationTask, sample: Any, row: int, hypotheses: Sequence[dict[str, Any]]
) -> None:
    """Record in the alignments of hypotheses which source words replace unknown words."""
    pad = task.source_dictionary.pad()
    padded = sample["net_input"]["src_tokens"][row].tolist()
    source = [token for token in padded if token != pad]
    words = _source_words(task, sample, row, source)
    for hypothesis in hypotheses:
        attention = _without_padding(hypothesis["attention"].float().cpu(), padded, pad)
        target = hypothesis["tokens"].tolist()
        places = copied_places(target, attention, source, task.target_dictionary.unk())
        copied = {at: words[place] for at, place in places.items()}
        hypothesis["alignment"] = Alignment(hypothesis["alignment"], copied)


def _without_padding(attention: Tensor, padded: Sequence[int], pad: int) -> Tensor:
    """Return attention to the tokens that are not padding, [source, target].

    Models may move padding from the left to the right. Padding gets no attention.
    """
    left = next((n for n, token in enumerate(padded) if token != pad), 0)
    length = sum(token != pad for token in padded)
    begin = 0 if attention[:left].any() else left
    return attention[begin : begin + length]


def _post_process_and_copy(
    hypo_tokens: Tensor,
    src_str: str,
    alignment: Any,
    align_dict: Mapping[str, str] | None,
    tgt_dict: Dictionary,
    remove_bpe: str | None = None,
    extra_symbols_to_ignore: Iterable[int] | None = None,
) -> tuple[Tensor, str, Any]:
    if align_dict is None:
        return _post_process_prediction(  # type: ignore[no-any-return]
            hypo_tokens, src_str, alignment, align_dict, tgt_dict, remove_bpe,
            extra_symbols_to_ignore,
        )  # fmt: skip
    ignored = {*(extra_symbols_to_ignore or ()), tgt_dict.eos(), tgt_dict.bos()}
    copied = getattr(alignment, "words", {})
    words = []
    for position, token in enumerate(hypo_tokens.tolist()):
        if token == tgt_dict.unk():
            word = copied.get(position, tgt_dict.unk_string())
            words.append(align_dict.get(word, word))
        elif token not in ignored:
            words.append(tgt_dict[token])
    text = data_utils.post_process(" ".join(words), remove_bpe)
    return tgt_dict.encode_line(text, add_if_not_exist=True), text, alignment


utils.load_align_dict = _load_align_dict_if_named
utils.post_process_prediction = _post_process_and_copy
TranslationTask.inference_step = _inference_step_with_words
TranslationTask.get_interactive_tokens_and_lengths = _keep_input_lines
TranslationTask.build_dataset_for_inference = _build_dataset_in_order
