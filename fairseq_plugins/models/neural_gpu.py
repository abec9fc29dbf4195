"""The Neural GPU: ``--arch neural_gpu``. Those with a decoder are in ``extended_neural_gpu``."""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import (
    FairseqEncoder,
    FairseqEncoderDecoderModel,
    FairseqIncrementalDecoder,
    register_model,
)
from omegaconf import II
from torch import Tensor, nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.models.gnmt import embeddings
from fairseq_plugins.modules.cgru import CGRUStack
from fairseq_plugins.modules.gnmt import pad_on_the_right
from fairseq_plugins.modules.memory_reading import mix_memory
from fairseq_plugins.modules.neural_gpu import (
    SYMBOL_ROW,
    NeuralGPUEncoder,
    relax,
)
from fairseq_plugins.modules.options import DROPOUT, SIZE, UPDATES, WEIGHT, Range, option
from fairseq_plugins.patches.arguments import check_part

INIT_STD = 1.0  # of embeddings, similar to the state, whose numbers are between -1 and 1
NOISE_DECAY = 0.275  # exponent of the update; that of the variance is twice as large
NOISE_SEEDS = 1 << 32  # number of noise seeds for each seed of the training
PULL_POWER = 3  # exponent of the completed share of updates: the pull is weak at first


@dataclass
class NeuralGPUConfig(FairseqDataclass):
    """Sizes and options of a Neural GPU."""

    maps: int = option(24, "m, the number of maps of the state, and the width of symbols", SIZE)
    height: int = option(4, "h, the number of rows of the state", SIZE)
    layers: int = option(2, "number of CGRUs in a step", SIZE)
    dropout: float = option(
        0.0, "dropout on the new values of every CGRU, divided by sqrt(columns)", DROPOUT
    )
    extra_columns: int = option(
        0,
        "number of columns of the state beyond the source, for longer targets",
        Range(least=0, most=65_536),
    )
    diagonal_gates: bool = option(
        False, "move a third of the maps forward by one column with each CGRU, and a third back"
    )
    gradient_noise: float = option(
        0.0,
        "initial standard deviation of noise on the gradients; its variance falls with the 0.55th "
        "power of the update",
        WEIGHT,
    )
    relaxation: int = option(1, "number of sets of parameters that the steps use in turn", SIZE)
    relaxation_updates: int = option(
        0, "number of updates after which all sets are the same", UPDATES
    )
    share_all_embeddings: bool = option(False, "share one embedding for source, target and softmax")
    seed: int = II("common.seed")
    max_source_positions: int = II("task.max_source_positions")
    max_target_positions: int = II("task.max_target_positions")


class Encoder(FairseqEncoder):
    """Adapts :class:`NeuralGPUEncoder` to fairseq; accepts left or right padding."""

    def __init__(self, dictionary: Any, embedding: nn.Embedding, core: NeuralGPUEncoder,
                 extra_columns: int, longest: int) -> None:  # fmt: skip
        super().__init__(dictionary)
        self.embedding, self.core = embedding, core
        self.extra_columns, self.longest = extra_columns, longest

    def forward(self, src_tokens: Tensor, src_lengths: Tensor | None = None, **_: Any) -> dict:
        """Encode tokens [batch, source].

        Returns:
            ``state`` [batch, m, n, h] and ``columns`` [batch].
        """
        tokens = pad_on_the_right(src_tokens, self.dictionary.pad())
        tokens = nn.functional.pad(tokens, (0, self.extra_columns), value=self.dictionary.pad())
        padding = tokens == self.dictionary.pad()
        columns = (~padding).sum(dim=1).cpu() + self.extra_columns
        # The embedding of padding does not stay zero if the softmax shares it.
        words = self.embedding(tokens).masked_fill(padding.unsqueeze(2), 0.0)
        return {"state": self.core(words, columns), "columns": columns}

    def reorder_encoder_out(self, encoder_out: dict, new_order: Tensor) -> dict:
        """Select sequences, for beams."""
        return {
            "state": encoder_out["state"].index_select(0, new_order),
            "columns": encoder_out["columns"].index_select(0, new_order.cpu()),
        }

    def max_positions(self) -> int:
        """Return the longest source."""
        return self.longest


class PlainDecoder(FairseqIncrementalDecoder):
    """Reads all symbols from the encoder's last state, because a Neural GPU has no decoder."""

    def __init__(self, dictionary: Any, output: nn.Linear, longest: int) -> None:
        super().__init__(dictionary)
        self.output, self.longest = output, longest

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict,
        incremental_state: dict | None = None,
        **_: Any,
    ) -> tuple[Tensor, dict]:
        """Return logits [batch, time, vocabulary] for as many symbols as there are tokens."""
        state, time = encoder_out["state"], prev_output_tokens.shape[1]
        row = state[..., SYMBOL_ROW].transpose(1, 2)  # [batch, n, m]
        if incremental_state is not None:
            column = min(time, row.shape[1]) - 1
            ended = encoder_out["columns"] < time
            return self.output(row[:, column : column + 1]), {"attn": None, "ended": ended}
        check(prev_output_tokens, encoder_out["columns"], self.dictionary.pad())
        return self.output(row[:, :time]), {"attn": None}

    def reorder_incremental_state(self, incremental_state: dict, new_order: Tensor) -> None:
        """Select hypotheses, for beams."""

    def max_positions(self) -> int:
        """Return the longest target."""
        return self.longest


def check(tokens: Tensor, columns: Tensor, pad: int) -> None:
    """Check that targets [batch, time] fit into the columns [batch].

    Raises:
        InputError: if they do not.
    """
    symbols = (tokens != pad).sum(dim=1).cpu()
    missing = int((symbols - columns).max())
    if missing > 0:
        raise InputError(
            f"a target has {missing} more symbols than its source, but the state has as many "
            f"columns as the source; use --extra-columns {missing} or more"
        )


@register_model("neural_gpu", dataclass=NeuralGPUConfig)
class NeuralGPUModel(FairseqEncoderDecoderModel):
    """The Neural GPU: source, n steps, target (Kaiser and Sutskever 2016)."""

    cfg: NeuralGPUConfig

    @classmethod
    def build_model(cls, cfg: NeuralGPUConfig, task: Any) -> "NeuralGPUModel":
        """Build a model for the dictionaries of ``task``.

        Raises:
            InputError: if sizes or dictionaries do not fit, or options exclude each other.
        """
        check_part(cfg, NeuralGPUConfig)
        if cfg.relaxation > 1 and cfg.relaxation_updates < 1:
            raise InputError("--relaxation needs --relaxation-updates, the update at which it ends")
        source, target = embeddings(cfg.maps, cfg.share_all_embeddings, task)
        output = nn.Linear(cfg.maps, len(task.target_dictionary))
        for embedding in (source, target):
            nn.init.normal_(embedding.weight, std=INIT_STD)
            nn.init.zeros_(embedding.weight[embedding.padding_idx])
        if cfg.share_all_embeddings:
            output.weight = target.weight
        encoder = Encoder(
            task.source_dictionary, source, NeuralGPUEncoder(cfg.height, stacks(cfg)),
            cfg.extra_columns, cfg.max_source_positions,
        )  # fmt: skip
        model = cls(encoder, cls.build_decoder(cfg, task.target_dictionary, target, output))
        model.cfg = cfg
        return model

    def before_optimizer_step(self, updates: int) -> None:
        """Add decreasing noise to all gradients (Neelakantan et al. 2015).

        Raises:
            InputError: if the weights are not float32.
        """
        cfg = self.cfg
        own = bool(cfg.gradient_noise) or cfg.relaxation > 1
        if own and next(self.parameters()).dtype != torch.float32:
            raise InputError(
                "--gradient-noise and --relaxation change weights of which fairseq keeps a float32 "
                "copy; use --autocast bfloat16 instead of --fp16 or --bf16"
            )
        if not cfg.gradient_noise:
            return
        deviation = cfg.gradient_noise / (1 + updates) ** NOISE_DECAY
        # A separate seed, because all workers must add the same noise.
        random = torch.Generator().manual_seed(cfg.seed * NOISE_SEEDS + updates)
        for parameter in self.parameters():
            if parameter.grad is not None:
                noise = torch.randn(parameter.shape, generator=random)
                parameter.grad.add_(noise.to(parameter.grad), alpha=deviation)

    def after_optimizer_step(self, updates: int) -> None:
        """Pull relaxed parameters together, more and more strongly."""
        if self.cfg.relaxation > 1:
            pull = min((updates + 1) / self.cfg.relaxation_updates, 1.0) ** PULL_POWER
            for part in (self.encoder, self.decoder):
                if hasattr(part, "core"):
                    relax(part.core.stacks, pull)

    def prepare_for_inference_(self, cfg: Any) -> None:
        """Prepare for decoding; called by fairseq.

        Raises:
            InputError: if alignments are to be printed.
        """
        if cfg.generation.print_alignment:
            raise InputError(
                "--print-alignment: a Neural GPU has no attention to align words; leave the option "
                "out"
            )
        super().prepare_for_inference_(cfg)

    @classmethod
    def build_decoder(
        cls, cfg: Any, dictionary: Any, embedding: nn.Embedding, output: nn.Linear
    ) -> PlainDecoder:
        """Build the part that turns states into symbols."""
        return PlainDecoder(dictionary, output, cfg.max_target_positions)

    def get_normalized_probs(
        self, net_output: tuple[Tensor, dict], log_probs: bool, sample: dict | None = None
    ) -> Tensor:
        """Return (log-)probabilities [batch, time, vocabulary] in float32, with a memory mixed in.

        After its last column, a sequence ends.
        """
        logits, extra = net_output
        result = mix_memory(torch.log_softmax(logits.float(), dim=-1), extra)
        if "ended" in extra and bool(extra["ended"].any()):
            end = torch.full_like(result[:1, :1], -torch.inf)
            end[..., self.decoder.dictionary.eos()] = 0
            result = torch.where(extra["ended"].to(result.device)[:, None, None], end, result)
        return result if log_probs else result.exp()


def stacks(cfg: NeuralGPUConfig, tape: bool = False) -> list[CGRUStack]:
    """Create one stack of CGRUs, or several that are used in turn."""
    return [
        CGRUStack(cfg.maps, cfg.layers, cfg.dropout, tape, cfg.diagonal_gates)
        for _ in range(cfg.relaxation)
    ]
