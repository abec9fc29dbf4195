"""Extracts the memory of a checkpoint, and replaces it."""

from pathlib import Path
from typing import Any

from fairseq import checkpoint_utils

from fairseq_plugins.checkpoints.corpora import Corpora, corpora_of
from fairseq_plugins.checkpoints.files import fit_to_memory, num_updates, write_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.config import settings_of
from fairseq_plugins.memory.fingerprint import weights_fingerprint
from fairseq_plugins.memory.snapshot import (
    VERSION,
    SnapshotHeader,
    describe,
    load_memory,
    read_header,
    save_memory,
)
from fairseq_plugins.memory.state import memory_buffers
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.patches.memory_files import memory_of, models_in


class MemoryOfCheckpoint:
    """The memory in a checkpoint's state dict.

    Args:
        path: of a checkpoint written by fairseq-train or one of our programs.

    Raises:
        InputError: if it is unusable, or does not have exactly one memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = checkpoint_utils.load_checkpoint_to_cpu(str(path))
        self.weights = self.state["model"]
        memories = memory_buffers(self.weights)
        if len(memories) != 1:
            raise InputError(
                f"{path}: has no memory; give a checkpoint of an --arch that has one, for "
                "instance gnmt_memory"
            )
        self.names = memories[0]

    def fingerprint(self, version: int = VERSION) -> str:
        """Return the fingerprint of the weights that compute the queries.

        Args:
            version: of the snapshot to compare with. The first version also included weights that
                act on answers only.
        """
        memory = self.names["keys"].removesuffix("keys")
        reader = memory.removesuffix("memory.")
        after_query = MemoryReader.after_query if version > 1 else ()
        terms = reader.removesuffix("reader.") + "terms."
        left_out = [memory, terms, *(reader + own for own in after_query)]
        return weights_fingerprint(self.weights, left_out)

    def memory(self) -> KeyValueMemory:
        """Build the memory, with its settings and contents."""
        return memory_of(self.state)

    def summary(self) -> dict[str, Any]:
        """Describe the model and its memory."""
        memory = self.memory()
        return {
            "architecture": self.state["cfg"].model._name,
            "updates": num_updates(self.state),
            **settings_of(memory),
            "filled": len(memory),
            **describe(dict(memory.named_buffers())),
        }

    def save(self, snapshot: Path) -> SnapshotHeader:
        """Write the memory to a separate file.

        Raises:
            SnapshotError: if it cannot be written.
        """
        extra = {"checkpoint": self.path.name} | corpora_of(self.state).entries()
        return save_memory(self.memory(), snapshot, self.fingerprint(), extra)

    def restore(self, snapshot: Path, output: Path, any_model: bool = False) -> SnapshotHeader:
        """Write a checkpoint with these weights and the memory of a snapshot, of any size.

        Args:
            snapshot: written by :meth:`save`.
            output: checkpoint to write.
            any_model: whether to accept snapshots from other weights.

        Raises:
            InputError: if the snapshot belongs to another model.
            SnapshotError: if it is damaged.
        """
        header = read_header(snapshot)
        ours = (self.weights[self.names["keys"]].shape[1], len(self.weights[self.names["recent"]]))
        theirs = (header.key_dim, header.num_values)
        if ours != theirs:
            raise InputError(
                f"{snapshot}: its keys have width {theirs[0]} for {theirs[1]} values, but those of "
                f"{self.path} have {ours[0]} for {ours[1]}; give a snapshot of this model"
            )
        if not any_model and header.fingerprint != self.fingerprint(header.version):
            raise InputError(
                f"{snapshot}: was saved with weights other than those of {self.path}, for which "
                "its keys have no meaning; give the checkpoint it was saved from, or add "
                "--any-model"
            )
        memory = load_memory(snapshot)
        buffers = {self.names[name]: buffer for name, buffer in memory.named_buffers()}
        for weights in models_in(self.state):
            weights.update(buffers)
        Corpora.of(header.extra).save(self.state)
        fit_to_memory(self.state["cfg"], memory.size)
        write_checkpoint(self.state, output)
        return header
