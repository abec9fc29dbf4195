"""The GNMT translator without a memory: ``--arch gnmt`` and its sizes."""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import (
    FairseqEncoder,
    FairseqEncoderDecoderModel,
    FairseqIncrementalDecoder,
    register_model,
)
from omegaconf import II
from torch import Tensor, nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.attention import ATTENTIONS
from fairseq_plugins.modules.gnmt import (
    GNMTDecoderLayers,
    GNMTEncoderLayers,
    initialize,
    pad_on_the_right,
)
from fairseq_plugins.modules.lstm import Dropout
from fairseq_plugins.modules.options import DROPOUT, SIZE, Range, option
from fairseq_plugins.modules.term_reader import TermReader

STATE = "layers"  # name of the decoder's incremental state


@dataclass
class GNMTConfig(FairseqDataclass):
    """Sizes and options of the translator."""

    units: int = option(256, "width of embeddings and LSTM layers", SIZE)
    encoder_layers: int = option(
        2, "number of encoder layers, including the bidirectional first one", SIZE
    )
    encoder_forwards: bool = option(
        False,
        "make the first encoder layer unidirectional as well, so that no state of the source "
        "contains later words",
    )
    decoder_layers: int = option(
        2, "number of decoder layers; the first one queries the attention", SIZE
    )
    attention: ChoiceEnum(list(ATTENTIONS)) = option(  # type: ignore[valid-type]
        "scaled-dot",
        "type of attention: scaled-dot learns fastest, normalized is that of the published GNMT",
    )
    dropout: float = option(0.3, "dropout on the input of every layer and of the softmax", DROPOUT)
    variational_dropout: bool = option(
        False, "use the same dropout mask for all steps of a sequence"
    )
    share_all_embeddings: bool = option(
        False, "share one embedding for source, target and softmax (needs a joined dictionary)"
    )
    share_decoder_input_output_embed: bool = option(
        False, "share one embedding for target and softmax"
    )
    init_scale: float = option(
        0.0,
        "bound of the uniform initialisation (GNMT: 0.1); 0 for bounds by layer width",
        Range(least=0, most=100),
    )
    max_source_positions: int = II("task.max_source_positions")
    max_target_positions: int = II("task.max_target_positions")


class GNMTEncoder(FairseqEncoder):
    """Adapts :class:`GNMTEncoderLayers` to fairseq; accepts left or right padding."""

    def __init__(self, dictionary: Any, layers: GNMTEncoderLayers, keys: Any, longest: int) -> None:
        super().__init__(dictionary)
        self.layers = layers
        self._keys = [keys]  # computes the attention's keys once per sentence; part of the decoder
        self.terms: list[TermReader] = []  # those of the decoder, if it has any
        self.longest = longest

    def forward(self, src_tokens: Tensor, src_lengths: Tensor | None = None, **_: Any) -> dict:
        """Encode tokens [batch, source].

        Returns:
            ``encoder_out`` [source, batch, dim], ``keys`` [batch, source, units],
            ``encoder_padding_mask`` [batch, source] bool and ``terms``, those that the source
            triggers, if any.
        """
        tokens = pad_on_the_right(src_tokens, self.dictionary.pad())
        padding = tokens == self.dictionary.pad()
        states = self.layers(tokens, padding)
        return {
            "encoder_out": states,
            "keys": self._keys[0](states),
            "encoder_padding_mask": padding,
            "terms": self.terms[0].call(tokens) if self.terms and not self.training else None,
        }

    def reorder_encoder_out(self, encoder_out: dict, new_order: Tensor) -> dict:
        """Select sentences, for beams."""
        terms = encoder_out["terms"]
        return {
            "terms": terms if terms is None else terms.select(new_order),
            "encoder_out": encoder_out["encoder_out"].index_select(1, new_order),
            "keys": encoder_out["keys"].index_select(0, new_order),
            "encoder_padding_mask": encoder_out["encoder_padding_mask"].index_select(0, new_order),
        }

    def max_positions(self) -> int:
        """Return the longest source."""
        return self.longest


class GNMTDecoder(FairseqIncrementalDecoder):
    """Adapts :class:`GNMTDecoderLayers` to fairseq, and adds the softmax layer."""

    def __init__(
        self, dictionary: Any, layers: GNMTDecoderLayers, output: nn.Linear, longest: int
    ) -> None:
        super().__init__(dictionary)
        self.layers, self.output, self.longest = layers, output, longest

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict,
        incremental_state: dict | None = None,
        **_: Any,
    ) -> tuple[Tensor, dict]:
        """Decode target prefixes [batch, time], or only their last token if incremental.

        Returns:
            Logits [batch, time, vocabulary], and a dict with ``attn`` [batch, time, source].
        """
        tokens, state = prev_output_tokens, None
        if incremental_state is not None:
            tokens = tokens[:, -1:]
            state = _unpack(self.get_incremental_state(incremental_state, STATE))
        output, context, weights, state = self.layers(
            tokens,
            encoder_out["encoder_out"],
            encoder_out["keys"],
            encoder_out["encoder_padding_mask"],
            state,
        )
        if incremental_state is not None:
            self.set_incremental_state(incremental_state, STATE, _pack(state))
        extra = {"attn": weights}
        output = self.read(
            output, context, tokens, encoder_out, extra, incremental_state is not None
        )
        return self.output(self.layers.dropout(output)), extra

    def read(
        self,
        output: Tensor,
        context: Tensor,
        tokens: Tensor,
        encoder_out: dict,
        extra: dict,
        stepwise: bool,
    ) -> Tensor:
        """Let a memory change output states [batch, time, dim]; here they stay the same."""
        return output

    def reorder_incremental_state(self, incremental_state: dict, new_order: Tensor) -> None:
        """Select hypotheses, for beams."""
        saved = self.get_incremental_state(incremental_state, STATE)
        if saved is not None:
            chosen = {name: tensor.index_select(1, new_order) for name, tensor in saved.items()}
            self.set_incremental_state(incremental_state, STATE, chosen)

    def max_positions(self) -> int:
        """Return the longest target."""
        return self.longest


def _pack(state: tuple) -> dict[str, Tensor]:
    """Return the layers' states in fairseq's form: named tensors [1, batch, units]."""
    return {
        f"{part}.{layer}.{kind}": tensor
        for part, layers in zip(("first", "upper"), state, strict=True)
        for layer, pair in enumerate(layers)
        for kind, tensor in zip(("hidden", "cell"), pair, strict=True)
    }


def _unpack(saved: dict[str, Tensor] | None) -> tuple | None:
    if saved is None:
        return None
    count = sum(name.startswith("upper") for name in saved) // 2

    def pair(name: str) -> tuple[Tensor, Tensor]:
        return saved[f"{name}.hidden"], saved[f"{name}.cell"]

    return [pair("first.0")], [pair(f"upper.{layer}") for layer in range(count)]


@register_model("gnmt", dataclass=GNMTConfig)
class GNMTModel(FairseqEncoderDecoderModel):
    """LSTM encoder-decoder with attention (Wu et al. 2016)."""

    decoder_class: type[GNMTDecoder] = GNMTDecoder

    @classmethod
    def build_model(cls, cfg: GNMTConfig, task: Any) -> "GNMTModel":
        """Build a model for the dictionaries of ``task``."""
        source, target = embeddings(cfg.units, cfg.share_all_embeddings, task)
        dropout = Dropout(cfg.dropout, cfg.variational_dropout)
        encoder_layers = GNMTEncoderLayers(
            source, cfg.units, cfg.encoder_layers, dropout, cfg.encoder_forwards
        )
        decoder_layers = GNMTDecoderLayers(
            target,
            encoder_layers.output_dim,
            cfg.units,
            cfg.decoder_layers,
            str(cfg.attention),
            dropout,
            output_dim=cfg.units,
        )
        output = nn.Linear(cfg.units, len(task.target_dictionary))
        initialize(nn.ModuleList([encoder_layers, decoder_layers, output]), [source, target],
                   cfg.init_scale)  # fmt: skip
        if cfg.share_all_embeddings or cfg.share_decoder_input_output_embed:
            output.weight = target.weight
        encoder = GNMTEncoder(
            task.source_dictionary,
            encoder_layers,
            decoder_layers.attention.score.keys,
            cfg.max_source_positions,
        )
        decoder = cls.decoder_class(
            task.target_dictionary, decoder_layers, output, cfg.max_target_positions
        )
        model = cls(encoder, decoder)
        model.add_memory(cfg)
        return model

    def add_memory(self, cfg: Any) -> None:
        """Add a memory, in models that have one."""

    def get_normalized_probs(
        self, net_output: tuple[Tensor, dict], log_probs: bool, sample: dict | None = None
    ) -> Tensor:
        """Return (log-)probabilities [batch, time, vocabulary] in float32."""
        result = torch.log_softmax(net_output[0].float(), dim=-1)
        return result if log_probs else result.exp()


def embeddings(width: int, shared: bool, task: Any) -> tuple[nn.Embedding, nn.Embedding]:
    """Create source and target embeddings, which are the same if ``shared``.

    Raises:
        InputError: if they cannot be shared because the dictionaries differ.
    """
    source, target = task.source_dictionary, task.target_dictionary
    target_embedding = nn.Embedding(len(target), width, target.pad())
    if not shared:
        return nn.Embedding(len(source), width, source.pad()), target_embedding
    if source != target:
        raise InputError(
            "--share-all-embeddings needs one dictionary for both languages: "
            "prepare the data with a joined dictionary, or leave the option out"
        )
    return target_embedding, target_embedding


@dataclass
class GNMTTinyConfig(GNMTConfig):
    """``gnmt`` for demos and tests."""

    units: int = 128
    encoder_layers: int = 1
    decoder_layers: int = 1


@dataclass
class GNMTBaseConfig(GNMTConfig):
    """``gnmt`` for a few hundred thousand sentence pairs."""

    units: int = 512


@dataclass
class GNMTWMTConfig(GNMTConfig):
    """The published GNMT for WMT: 4 + 4 layers of 1,024 units."""

    units: int = 1024
    encoder_layers: int = 4
    decoder_layers: int = 4
    attention: ChoiceEnum(list(ATTENTIONS)) = "normalized"  # type: ignore[valid-type]
    dropout: float = 0.2
    init_scale: float = 0.1


@register_model("gnmt_tiny", dataclass=GNMTTinyConfig)
class GNMTTiny(GNMTModel):
    """``gnmt`` with 128 units and 1 + 1 layers."""


@register_model("gnmt_base", dataclass=GNMTBaseConfig)
class GNMTBase(GNMTModel):
    """``gnmt`` with 512 units and 2 + 2 layers."""


@register_model("gnmt_wmt", dataclass=GNMTWMTConfig)
class GNMTWMT(GNMTModel):
    """``gnmt`` with 1,024 units and 4 + 4 layers."""
