"""The GNMT translator with a life-long memory: ``--arch gnmt_memory`` and its sizes."""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model
from torch import Tensor

from fairseq_plugins.models.gnmt import (
    GNMTBaseConfig,
    GNMTConfig,
    GNMTDecoder,
    GNMTModel,
    GNMTTinyConfig,
    GNMTWMTConfig,
)
from fairseq_plugins.modules.memory_decoder import MemoryDecoder
from fairseq_plugins.modules.memory_options import MixingMemoryOptions, empty_memory
from fairseq_plugins.modules.memory_reader import MODES, MemoryReader
from fairseq_plugins.modules.memory_reading import mix_memory
from fairseq_plugins.modules.options import option
from fairseq_plugins.modules.term_reader import TermReader, term_reader

QUERIES = ("attention", "output", "both")


@dataclass
class GNMTMemoryOptions(MixingMemoryOptions):
    """Options of a translator for its memory."""

    memory_key_dim: int = option(128, "width of the memory's keys")
    memory_query: ChoiceEnum(list(QUERIES)) = option(  # type: ignore[valid-type]
        "output",
        "state that is projected to a query: the context of the attention (as in the paper), the "
        "output state just before the logits, or both",
    )
    memory_read: ChoiceEnum(list(MODES)) = option(  # type: ignore[valid-type]
        "interpolate",
        "how the answer is used: embed adds its embedding to the output state (as in the paper), "
        "interpolate mixes its distribution into the softmax, or both",
    )


@dataclass
class GNMTMemoryConfig(GNMTMemoryOptions, GNMTConfig):
    """``gnmt`` with a memory."""


class GNMTMemoryDecoder(MemoryDecoder, GNMTDecoder):
    """A decoder that queries its memory before the logits."""

    reader: MemoryReader
    terms: TermReader
    memory_query: str

    def forward(
        self, prev_output_tokens: Tensor, encoder_out: dict, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, dict]:
        """Decode as without a memory; ``extra["terms"]`` has the reading of terms, if any."""
        logits, extra = super().forward(prev_output_tokens, encoder_out, *args, **kwargs)
        if encoder_out["terms"] is not None and self.asks:
            extra["terms"] = self.terms.read(
                encoder_out["terms"], prev_output_tokens, extra["attn"]
            )
        return logits, extra

    def read(
        self,
        output: Tensor,
        context: Tensor,
        tokens: Tensor,
        encoder_out: dict,
        extra: dict,
        stepwise: bool,
    ) -> Tensor:
        """Query the memory at every token, for all sentences and steps at once."""
        sources = {"attention": [context], "output": [output], "both": [context, output]}
        source = torch.cat(sources[self.memory_query], dim=-1)
        positions = tokens != self.dictionary.pad()  # [batch, time]
        if not self.asks:
            return self.reader.unasked(output)
        output, extra["memory"] = self.ask(source, output, positions, encoder_out, stepwise)
        return output


@register_model("gnmt_memory", dataclass=GNMTMemoryConfig)
class GNMTMemoryModel(GNMTModel):
    """GNMT with the memory of Kaiser et al. 2017, section 3."""

    decoder_class = GNMTMemoryDecoder

    def add_memory(self, cfg: GNMTMemoryConfig) -> None:
        """Give the decoder an empty memory."""
        decoder = self.decoder
        decoder.joins_at, decoder.sure = cfg.memory_from_update, cfg.memory_sure
        context_dim, output_dim = decoder.layers.source_dim, cfg.units
        widths = {
            "attention": context_dim,
            "output": output_dim,
            "both": context_dim + output_dim,
        }
        decoder.memory_query = str(cfg.memory_query)
        decoder.terms = term_reader(self.encoder.dictionary, decoder.dictionary)
        self.encoder.terms = [decoder.terms]
        decoder.reader = MemoryReader(
            empty_memory(cfg, len(decoder.dictionary)),
            widths[decoder.memory_query],
            output_dim,
            str(cfg.memory_read),
            decoder.layers.embedding,
            str(cfg.memory_gate),
        )

    def get_normalized_probs(
        self, net_output: tuple[Tensor, dict], log_probs: bool, sample: dict | None = None
    ) -> Tensor:
        """Return (log-)probabilities [batch, time, vocabulary] in float32, with memory."""
        result = super().get_normalized_probs(net_output, True, sample)
        result = mix_memory(result, net_output[1])
        return result if log_probs else result.exp()


@dataclass
class GNMTMemoryTinyConfig(GNMTMemoryOptions, GNMTTinyConfig):
    """``gnmt_tiny`` with a memory."""

    memory_key_dim: int = 64


@dataclass
class GNMTMemoryBaseConfig(GNMTMemoryOptions, GNMTBaseConfig):
    """``gnmt_base`` with a memory."""


@dataclass
class GNMTMemoryWMTConfig(GNMTMemoryOptions, GNMTWMTConfig):
    """``gnmt_wmt`` with a memory of a million slots."""

    memory_size: int = 1 << 20
    memory_key_dim: int = 512


@register_model("gnmt_memory_tiny", dataclass=GNMTMemoryTinyConfig)
class GNMTMemoryTiny(GNMTMemoryModel):
    """``gnmt_memory`` with 128 units and 1 + 1 layers."""


@register_model("gnmt_memory_base", dataclass=GNMTMemoryBaseConfig)
class GNMTMemoryBase(GNMTMemoryModel):
    """``gnmt_memory`` with 512 units and 2 + 2 layers."""


@register_model("gnmt_memory_wmt", dataclass=GNMTMemoryWMTConfig)
class GNMTMemoryWMT(GNMTMemoryModel):
    """``gnmt_memory`` with 1,024 units and 4 + 4 layers."""
