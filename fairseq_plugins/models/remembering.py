"""Any encoder-decoder of fairseq with a life-long memory: ``--arch remembering``.

A trained model, the *base*, keeps its weights. The features from which its decoder computes logits
are projected to queries, and what the memory answers is mixed into the softmax, as in
``gnmt_memory``. While the memory is empty, every probability is exactly that of the base.

The configuration contains the base's, so a checkpoint needs no other file:
``fairseq-memory attach`` writes it (``teaching/attach.py``).
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import (
    ARCH_MODEL_REGISTRY,
    MODEL_DATACLASS_REGISTRY,
    MODEL_REGISTRY,
    FairseqDecoder,
    FairseqEncoder,
    FairseqEncoderDecoderModel,
    FairseqIncrementalDecoder,
    build_model,
    register_model,
)
from omegaconf import OmegaConf
from torch import Tensor, nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.attention import attention_on_the_right
from fairseq_plugins.modules.gnmt import pad_on_the_right
from fairseq_plugins.modules.memory_decoder import MemoryDecoder
from fairseq_plugins.modules.memory_options import MixingMemoryOptions, empty_memory
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.modules.memory_reading import mix_memory
from fairseq_plugins.modules.options import LAYER, option
from fairseq_plugins.modules.term_reader import TermReader, term_reader


@dataclass
class RememberingConfig(MixingMemoryOptions, FairseqDataclass):
    """The configuration of the base, and options of its memory."""

    memory_key_dim: int = option(128, "width of the memory's keys")
    base: Any = option(
        None,
        "configuration of the model that remembers, as JSON: its architecture as _name, and its "
        "options; `fairseq-memory attach` writes that of a trained model",
    )
    train_base: bool = option(False, "train the base as well, not only the memory's reader")
    alignment_layer: int = option(
        -1,
        "for Transformers: decoder layer, from 0, whose attention finds the source words of taught "
        "words; -1 for the last one",
        LAYER,
    )


class RememberingEncoder(FairseqEncoder):
    """The encoder of the base, which also looks up the taught words of the source.

    Args:
        base: the encoder.
        terms: part of the decoder.
    """

    def __init__(self, base: FairseqEncoder, terms: TermReader) -> None:
        super().__init__(base.dictionary)
        self.base, self.terms = base, [terms]  # in a list: the decoder owns it

    def forward(self, src_tokens: Tensor, src_lengths: Tensor | None = None, **_: Any) -> dict:
        """Encode tokens [batch, source], padded on either side.

        Returns:
            ``base``, the result of the base; ``before`` [batch] int64, the tokens of padding on the
            left; and ``terms``, those that the source triggers, if any.
        """
        pad = self.dictionary.pad()
        tokens = pad_on_the_right(src_tokens, pad)
        return {
            "base": self.base(src_tokens, src_lengths=src_lengths),
            "before": (src_tokens == pad).cumprod(dim=1).sum(dim=1),
            "terms": None if self.training else self.terms[0].call(tokens),
        }

    def reorder_encoder_out(self, encoder_out: dict, new_order: Tensor) -> dict:
        """Select sentences, for beams."""
        terms = encoder_out["terms"]
        return {
            "base": self.base.reorder_encoder_out(encoder_out["base"], new_order),
            "before": encoder_out["before"].index_select(0, new_order),
            "terms": terms if terms is None else terms.select(new_order),
        }

    def max_positions(self) -> int:
        """Return the longest source."""
        return self.base.max_positions()  # type: ignore[no-any-return]


class RememberingDecoder(MemoryDecoder, FairseqIncrementalDecoder):
    """The decoder of the base, which queries a memory with its features.

    Args:
        features: runs the decoder.
        reader: of the memory.
        terms: taught words.
    """

    reader: MemoryReader

    def __init__(self, features: "Features", reader: MemoryReader, terms: TermReader) -> None:
        super().__init__(features.decoder.dictionary)
        self.base, self.features = features.decoder, features
        self.reader, self.terms = reader, terms

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict,
        incremental_state: dict | None = None,
        **_: Any,
    ) -> tuple[Tensor, dict]:
        """Decode target prefixes [batch, time], or only their last token if incremental.

        Returns:
            Logits [batch, time, vocabulary] of the base, and a dict with ``attn`` [batch, time,
            source] for a source that is padded on the right, or None, and ``memory`` and ``terms``,
            what was read.
        """
        features, logits, attention = self.features(
            prev_output_tokens, encoder_out["base"], incremental_state
        )
        if attention is not None:
            attention = attention_on_the_right(attention, encoder_out["before"])
        extra: dict[str, Any] = {"attn": attention}
        if not self.asks:
            return self.reader.unasked(logits), extra
        positions = prev_output_tokens[:, -features.shape[1] :] != self.dictionary.pad()
        stepwise = incremental_state is not None
        extra["memory"] = self.ask(features, features, positions, encoder_out, stepwise)[1]
        if encoder_out["terms"] is not None and attention is not None:
            extra["terms"] = self.terms.read(encoder_out["terms"], prev_output_tokens, attention)
        return logits, extra

    def get_normalized_probs(
        self, net_output: tuple[Tensor, dict], log_probs: bool, sample: dict | None = None
    ) -> Tensor:
        """Return (log-)probabilities [batch, time, vocabulary] in float32, with memory."""
        alone = self.base.get_normalized_probs(net_output, True, sample)
        result = mix_memory(alone, net_output[1])
        return result if log_probs else result.exp()

    def max_positions(self) -> int:
        """Return the longest target."""
        return self.base.max_positions()  # type: ignore[no-any-return]


class Features:
    """Runs a decoder of fairseq, and returns the features from which it computes its logits.

    Decoders that separate the two (``extract_features`` and ``output_layer``) are asked for both.
    From the others, the input of the layer that is as wide as the dictionary is taken.

    Args:
        decoder: of the base.
        alignment_layer: see :class:`RememberingConfig`.

    Raises:
        InputError: if the decoder does not compute its logits from features in either way.
    """

    def __init__(self, decoder: FairseqDecoder, alignment_layer: int) -> None:
        self.decoder, self.options = decoder, {}
        if decoder.adaptive_softmax is not None:
            raise InputError("a model with an adaptive softmax cannot remember: it has no logits")
        neither = FairseqDecoder.extract_features, FairseqIncrementalDecoder.extract_features
        self.separate = type(decoder).extract_features not in neither
        self._input: list[Tensor] = []
        if self.separate:
            if alignment_layer >= 0:
                self.options["alignment_layer"] = alignment_layer
            return
        width = len(decoder.dictionary)
        outputs = [m for m in decoder.modules() if getattr(m, "out_features", None) == width]
        if not outputs:
            raise InputError(
                f"{type(decoder).__name__} has no output layer of {width} words, so there is "
                "nothing to attach a memory to"
            )
        outputs[-1].register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[Tensor]) -> None:
        self._input.append(inputs[0])

    def __call__(
        self, tokens: Tensor, encoder_out: Any, incremental_state: dict | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return features [batch, time, dim], logits and the attention, as the base orders it."""
        if hasattr(self.decoder, "need_attn"):  # fairseq-generate turns it off
            self.decoder.need_attn = True
        given = {"encoder_out": encoder_out, "incremental_state": incremental_state}
        if self.separate:
            features, extra = self.decoder.extract_features(tokens, **given, **self.options)
            logits = self.decoder.output_layer(features)
        else:
            logits, extra = self.decoder(tokens, **given)
            features = self._input.pop()
        attention = extra.get("attn") if isinstance(extra, dict) else extra
        return features, logits, attention[0] if isinstance(attention, list) else attention


@register_model("remembering", dataclass=RememberingConfig)
class RememberingModel(FairseqEncoderDecoderModel):
    """A model with the memory of Kaiser et al. 2017 before its output layer.

    Args:
        encoder: of the base, with terms.
        decoder: of the base, with a memory.
        frozen: whether the base keeps its weights.
    """

    def __init__(
        self, encoder: RememberingEncoder, decoder: RememberingDecoder, frozen: bool
    ) -> None:
        super().__init__(encoder, decoder)
        self.frozen = frozen
        self.train()

    @classmethod
    def build_model(cls, cfg: RememberingConfig, task: Any) -> "RememberingModel":
        """Build a model for the dictionaries of ``task``.

        Raises:
            InputError: if there is no base, or it cannot have a memory.
        """
        base = build_base(cfg.base, task)
        source, target = task.source_dictionary, task.target_dictionary
        features = Features(base.decoder, cfg.alignment_layer)
        width = features_dim(base.encoder, features)
        memory = empty_memory(cfg, len(target))
        reader = MemoryReader(memory, width, width, "interpolate", gate=str(cfg.memory_gate))
        terms = term_reader(source, target)
        decoder = RememberingDecoder(features, reader, terms)
        decoder.joins_at, decoder.sure = cfg.memory_from_update, cfg.memory_sure
        return cls(RememberingEncoder(base.encoder, terms), decoder, not cfg.train_base)

    def train(self, mode: bool = True) -> "RememberingModel":
        """Set the mode of what is trained; a frozen base is evaluated without gradients.

        In evaluation, its parameters require gradients as those of any model do: torch chooses
        kernels by that, and the last digits of the base's probabilities would change.
        """
        super().train(mode)
        if self.frozen:
            for part in (self.encoder.base, self.decoder.base):
                part.eval().requires_grad_(not mode)
        return self


def build_base(cfg: Any, task: Any) -> Any:
    """Build a model from a configuration: of a dataclass, or of an older ``--arch``.

    Args:
        cfg: its names and values, or these as JSON; ``_name`` is the architecture.
        task: with the dictionaries.

    Raises:
        InputError: if the configuration is none, or the model is no encoder-decoder.
    """
    if isinstance(cfg, str):
        cfg = _parsed(cfg)
    if not isinstance(cfg, Mapping):
        raise InputError(
            "--arch remembering: attach a memory to a trained model with `fairseq-memory attach`; "
            "to train one from the start, give --arch transformer_memory or gnmt_memory"
        )
    plain: Any = OmegaConf.to_container(OmegaConf.create(dict(cfg)))
    of_dataclass = plain["_name"] in MODEL_DATACLASS_REGISTRY
    base = build_model(
        OmegaConf.create(plain) if of_dataclass else argparse.Namespace(**plain),
        task,
        from_checkpoint=True,
    )
    if not isinstance(base, FairseqEncoderDecoderModel):
        raise InputError(f"{plain['_name']}: is not an encoder-decoder; give a translator")
    return base


def _parsed(text: str) -> dict[str, Any]:
    """Read a configuration on a command line."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    known = {*MODEL_REGISTRY, *ARCH_MODEL_REGISTRY}
    if not isinstance(found, dict) or found.get("_name") not in known:
        raise InputError(
            f"--base {text}: must be an object of JSON with an architecture of fairseq: "
            '\'{"_name": "transformer_iwslt_de_en", "dropout": 0.3}\''
        )
    return found


@torch.no_grad()
def features_dim(encoder: FairseqEncoder, features: Features) -> int:
    """Return the width of the features, by computing those of an empty sentence."""
    parts = encoder, features.decoder
    were_training = [part.training for part in parts]
    for part in parts:
        part.eval()
    source, target = (torch.tensor([[part.dictionary.eos()]]) for part in parts)
    encoded = encoder(source, src_lengths=torch.tensor([1]))
    width = features(target, encoded, None)[0].shape[-1]
    for part, was_training in zip(parts, were_training, strict=True):
        part.train(was_training)
    return width


@dataclass
class TransformerMemoryConfig(RememberingConfig):
    """A Transformer that is trained with a memory from the start."""

    base: Any = '{"_name": "transformer_iwslt_de_en"}'
    train_base: bool = True


@register_model("transformer_memory", dataclass=TransformerMemoryConfig)
class TransformerMemory(RememberingModel):
    """fairseq's ``transformer_iwslt_de_en`` with a memory."""


@dataclass
class TransformerMemoryTinyConfig(TransformerMemoryConfig):
    """A small one."""

    base: Any = '{"_name": "transformer_tiny"}'
    memory_key_dim: int = 64


@register_model("transformer_memory_tiny", dataclass=TransformerMemoryTinyConfig)
class TransformerMemoryTiny(RememberingModel):
    """fairseq's ``transformer_tiny`` with a memory."""


@dataclass
class TransformerMemoryBaseConfig(TransformerMemoryConfig):
    """The base size of Vaswani et al. 2017."""

    base: Any = '{"_name": "transformer"}'


@register_model("transformer_memory_base", dataclass=TransformerMemoryBaseConfig)
class TransformerMemoryBase(RememberingModel):
    """fairseq's ``transformer`` with a memory."""
