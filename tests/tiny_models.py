"""Small translators, created in the process, for tests that need no training."""

from typing import Any

import torch
from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY, build_model
from omegaconf import OmegaConf
from torch import Tensor, nn

import fairseq_plugins  # noqa: F401  (registers everything)
from fairseq_plugins.criterions.memory_cross_entropy import MemoryCrossEntropy
from fairseq_plugins.models.remembering import build_base
from fairseq_plugins.tasks.translation_memory import TranslationMemoryConfig, TranslationMemoryTask

WORDS = 20
SIZES: dict[str, Any] = {
    "units": 8,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "dropout": 0.0,
    "max_source_positions": 50,
    "max_target_positions": 50,
}
MEMORY: dict[str, Any] = {"memory_size": 40, "memory_key_dim": 6, "memory_neighbors": 5}
READS, QUERIES = ("embed", "interpolate", "both"), ("attention", "output", "both")

# Pairs of sentences of many lengths, as numbers of words.
PAIRS = [
    ([3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8, 1]),
    ([2], [6, 5]),
    ([3, 5, 8, 9], [7]),
    ([9, 9, 10], [11, 12, 13, 14]),
    ([14, 13, 12, 11, 10, 9, 8, 7], [1, 2, 3, 4, 5, 6]),
]


def dictionary(words: int = WORDS) -> Dictionary:
    """Return words w0, w1, ...; w0 was seen once in training, w1 twice and so on."""
    result = Dictionary()
    for number in range(words):
        result.add_symbol(f"w{number}", n=number + 1)
    return result


def translation_task(source: int = WORDS, target: int = WORDS, **options: Any) -> Any:
    """Return the task, for dictionaries of a given size."""
    cfg = TranslationMemoryConfig(data="", source_lang="xx", target_lang="yy", **options)
    return TranslationMemoryTask(cfg, dictionary(source), dictionary(target))


def tiny_model(arch: str, task: Any = None, **options: Any) -> Any:
    """Return a model of the smallest size, in training mode, with an empty memory if it has one."""
    if "memory" in arch:
        options = MEMORY | options
    cfg = MODEL_DATACLASS_REGISTRY[arch](**(SIZES | options))
    return ARCH_MODEL_REGISTRY[arch].build_model(cfg, task or translation_task())


def dataset(pairs: list = PAIRS, left_pad_source: bool = False) -> LanguagePairDataset:
    """Return word numbers as a fairseq dataset."""
    words = dictionary()

    def encode(numbers: list[int]) -> Tensor:
        return torch.tensor([*(words.nspecial + number for number in numbers), words.eos()])

    sides = [[encode(sentence) for sentence in side] for side in zip(*pairs, strict=True)]
    lengths = [[len(sentence) for sentence in side] for side in sides]
    return LanguagePairDataset(
        sides[0], lengths[0], words, sides[1], lengths[1], words, left_pad_source=left_pad_source
    )


def batch(pairs: list = PAIRS, left_pad_source: bool = False) -> dict:
    """Return all pairs as one sample, in fairseq's order; ``id`` has their indices."""
    data = dataset(pairs, left_pad_source)
    return data.collater([data[index] for index in range(len(pairs))])


def remembering(arch: str = "gnmt_memory", **options: Any) -> Any:
    """Return a model in evaluation mode whose memory holds ``PAIRS``, and that listens to it."""
    model = tiny_model(arch, **options)
    reader, sample = model.decoder.reader, batch()
    for name, parameter in model.named_parameters():
        if "combine" in name or "gate" in name:
            nn.init.normal_(parameter)
    model.eval()
    with torch.no_grad():
        query = model(**sample["net_input"])[1]["memory"].query
    target = sample["target"]
    reader.memory.write(query, target[target != model.decoder.dictionary.pad()])
    return model


def criterion(**options: Any) -> MemoryCrossEntropy:
    """Return the criterion with its defaults, except for the given options."""
    defaults = {
        "label_smoothing": 0.1,
        "memory_loss_weight": 1.0,
        "softmax_alone": 1.0,
        "memory_write": "all",
        "memory_surprise": 0.5,
        "memory_rare": 100,
        "sentence_avg": False,
    }
    return MemoryCrossEntropy(translation_task(), **(defaults | options))


WIDTHS = ("embed_dim", "hidden_size", "out_embed_dim")
# Small models of fairseq's own architectures, to which a memory can be attached.
BASES: dict[str, dict[str, Any]] = {
    "transformer": {"ffn_embed_dim": 16, "attention_heads": 2, "layers": 2},
    "transformer_iwslt_de_en": {"ffn_embed_dim": 16, "layers": 2, "normalize_before": True},
    "lstm": {"layers": 2},
    "fconv": {"layers": "[(8, 3)] * 2"},
    "lightconv": {"ffn_embed_dim": 16, "attention_heads": 2, "layers": 2, "conv_dim": 8,
                  "kernel_size_list": [3, 5], "conv_type": "lightweight", "glu": True},
    "gnmt_tiny": {},
}  # fmt: skip


def base_configuration(arch: str, **options: Any) -> dict[str, Any]:
    """Return the configuration of a small model without a memory, as a checkpoint has it."""
    if arch in MODEL_DATACLASS_REGISTRY:
        return {"_name": arch} | SIZES | options
    sizes = dict.fromkeys(WIDTHS, 8) | BASES[arch]
    parts = ("encoder", "decoder")
    both = {f"{part}_{name}": size for name, size in sizes.items() for part in parts}
    rest = {"max_source_positions": 50, "max_target_positions": 50, "dropout": 0.1,
            "criterion": "cross_entropy", "weight_softmax": True, "weight_dropout": 0.1,
            "input_dropout": 0.1}  # fmt: skip
    return {"_name": arch, "arch": arch} | both | rest | options


def attached(arch: str, **options: Any) -> tuple[Any, Any]:
    """Return a model in evaluation mode with an empty memory, and the same one without it."""
    task, base = translation_task(), base_configuration(arch)
    cfg = OmegaConf.create(MEMORY | {"_name": "remembering", "base": base} | options)
    model = build_model(cfg, task, from_checkpoint=True).eval()
    without = build_base(OmegaConf.create(base), task).eval()
    without.encoder.load_state_dict(model.encoder.base.state_dict())
    without.decoder.load_state_dict(model.decoder.base.state_dict())
    return model, without
