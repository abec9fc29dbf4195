"""Neural GPUs with a decoder: ``--arch extended_neural_gpu``, ``extended_neural_gpu_memory``."""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.models.neural_gpu import (
    NeuralGPUConfig,
    NeuralGPUModel,
    PlainDecoder,
    check,
    stacks,
)
from fairseq_plugins.modules.memory_decoder import MemoryDecoder
from fairseq_plugins.modules.memory_options import JoiningMemoryOptions, empty_memory
from fairseq_plugins.modules.memory_reader import MODES
from fairseq_plugins.modules.neural_gpu import (
    QUERY_ROW,
    SYMBOL_ROW,
    NeuralGPUDecoder,
    Progress,
    own_columns,
)
from fairseq_plugins.modules.options import UPDATES, option
from fairseq_plugins.modules.tape_reader import TapeReader, TapeReading

STATE = "neural_gpu"  # name of the decoder's incremental state


class ExtendedDecoder(MemoryDecoder, PlainDecoder):
    """Adapts :class:`NeuralGPUDecoder` to fairseq, with or without a memory."""

    reader: TapeReader | None

    def __init__(
        self,
        dictionary: Any,
        output: nn.Linear,
        longest: int,
        embedding: nn.Embedding,
        core: NeuralGPUDecoder,
        reader: TapeReader | None,
    ) -> None:
        super().__init__(dictionary, output, longest)
        self.embedding, self.core, self.reader = embedding, core, reader

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict,
        incremental_state: dict | None = None,
        **_: Any,
    ) -> tuple[Tensor, dict]:
        """Return logits [batch, time, vocabulary]; of the last symbol only if incremental."""
        tokens, columns = prev_output_tokens, encoder_out["columns"]
        progress = self.core.start(encoder_out["state"])
        step = 0
        if incremental_state is None:
            check(tokens, columns, self.dictionary.pad())
        else:
            step, tokens = tokens.shape[1] - 1, tokens[:, -1:]
            saved = self.get_incremental_state(incremental_state, STATE)
            if saved is not None:
                progress = Progress(saved["state"], saved["tape"])
        output, progress, reading = self.steps(tokens, step, progress, columns)
        extra: dict[str, Any] = {"attn": None}
        if incremental_state is not None:
            saved = {"state": progress.state, "tape": progress.tape}
            self.set_incremental_state(incremental_state, STATE, saved)
            extra["ended"] = columns <= step
        if reading is not None:
            extra["memory"] = reading.finish(output)
        elif self.reader is not None:
            output = self.reader.unasked(output)
        return self.output(output), extra

    def steps(
        self, tokens: Tensor, first: int, progress: Progress, columns: Tensor
    ) -> tuple[Tensor, Progress, TapeReading | None]:
        """Continue with tokens [batch, time], the first of which belongs to step ``first``.

        Returns:
            Positions of the symbols [batch, time, m], progress, and the reading.
        """
        n = progress.state.shape[2]
        ragged = bool((columns != n).any())
        active = own_columns(columns, n, tokens.device) if ragged else None
        reading = self.begin(tokens) if self.reader and self.asks else None
        ask = reading.ask if reading else None
        places = []
        for index in range(tokens.shape[1]):
            # A hypothesis that is longer than the state has ended; its readings have no meaning.
            place = progress.state[:, :, -1, SYMBOL_ROW]
            if first + index < n:
                word = self.embedding(tokens[:, index]) if first + index else None
                progress, place = self.core.step(progress, word, active, ask)
            elif ask:
                ask(place)
            places.append(place)
        return torch.stack(places, dim=1), progress, reading

    def begin(self, tokens: Tensor) -> TapeReading:
        """Start to read; the correct answer is the next token."""
        assert self.reader is not None
        real = tokens != self.dictionary.pad()
        end = tokens.new_full((len(tokens), 1), self.dictionary.eos())
        following = torch.cat([tokens[:, 1:], end], dim=1)
        gold = torch.where(following == self.dictionary.pad(), end, following)
        return self.reader.begin(real, gold if tokens.shape[1] > 1 else None)

    def reorder_incremental_state(self, incremental_state: dict, new_order: Tensor) -> None:
        """Select hypotheses, for beams."""
        saved = self.get_incremental_state(incremental_state, STATE)
        if saved is not None:
            chosen = {name: tensor.index_select(0, new_order) for name, tensor in saved.items()}
            self.set_incremental_state(incremental_state, STATE, chosen)


@register_model("extended_neural_gpu", dataclass=NeuralGPUConfig)
class ExtendedNeuralGPUModel(NeuralGPUModel):
    """A Neural GPU whose decoder reads what it has emitted (Kaiser and Bengio 2016)."""

    @classmethod
    def build_decoder(
        cls, cfg: Any, dictionary: Any, embedding: nn.Embedding, output: nn.Linear
    ) -> PlainDecoder:
        """Build a decoder with its own CGRUs."""
        core = NeuralGPUDecoder(cfg.height, stacks(cfg, tape=True))
        reader = cls.build_reader(cfg, dictionary, embedding)
        return ExtendedDecoder(
            dictionary, output, cfg.max_target_positions, embedding, core, reader
        )

    @classmethod
    def build_reader(cls, cfg: Any, dictionary: Any, embedding: nn.Embedding) -> TapeReader | None:
        """Return None; models with a memory build a reader."""
        return None


@dataclass
class ExtendedNeuralGPUMemoryConfig(JoiningMemoryOptions, NeuralGPUConfig):
    """``extended_neural_gpu`` with a memory."""

    memory_read: ChoiceEnum(list(MODES)) = option(  # type: ignore[valid-type]
        "both",
        "how the answer is used: embed writes it to the tape (as in the paper), interpolate mixes "
        "it into the softmax, or both",
    )
    memory_gold_updates: int = option(
        0,
        "number of updates during which the correct answer replaces the memory's on the tape, "
        "with a probability that falls from 1 to 0",
        UPDATES,
    )


@register_model("extended_neural_gpu_memory", dataclass=ExtendedNeuralGPUMemoryConfig)
class ExtendedNeuralGPUMemoryModel(ExtendedNeuralGPUModel):
    """An Extended Neural GPU with the memory of Kaiser et al. 2017, figure 3."""

    gold_updates = 0

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "ExtendedNeuralGPUMemoryModel":
        """Build a model with an empty memory."""
        if cfg.height <= QUERY_ROW:
            raise InputError(
                f"--height {cfg.height}: the query is read from the second row; use at least 2"
            )
        model = super().build_model(cfg, task)
        model.decoder.joins_at = cfg.memory_from_update
        model.gold_updates = cfg.memory_gold_updates
        return model

    @classmethod
    def build_reader(cls, cfg: Any, dictionary: Any, embedding: nn.Embedding) -> TapeReader:
        """Build a reader with an empty memory."""
        memory = empty_memory(cfg, len(dictionary))
        return TapeReader(memory, cfg.maps, str(cfg.memory_read), embedding)

    def before_optimizer_step(self, updates: int) -> None:
        """Do the same as other models; also reject correct answers that cannot be shown.

        Raises:
            InputError: if correct answers are to be shown but the tape shows no answers.
        """
        super().before_optimizer_step(updates)
        if self.gold_updates and self.decoder.reader.mode == "interpolate":
            raise InputError(
                "--memory-gold-updates writes correct answers to the tape, but --memory-read "
                "interpolate does not use the tape; leave out one of the two"
            )

    def set_num_updates(self, num_updates: int) -> None:
        """Show the correct answer less and less, from the update at which the memory joins in."""
        super().set_num_updates(num_updates)
        asked = num_updates - self.decoder.joins_at
        left = 1 - asked / self.gold_updates if self.gold_updates else 0.0
        self.decoder.reader.gold_share = min(max(0.0, left), 1.0)
