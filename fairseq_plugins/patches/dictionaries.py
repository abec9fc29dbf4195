"""Checkpoints that note which dictionaries they were made with."""

import hashlib
from typing import Any

from fairseq_plugins.errors import InputError


class RemembersDictionaries:
    """For tasks: notes in every checkpoint which dictionaries it was made with.

    Dictionaries of the same size with other entries would otherwise go unnoticed, and translate
    to nonsense. To be named before the fairseq task it extends.
    """

    def state_dict(self) -> dict[str, Any]:
        """What fairseq keeps of a task in a checkpoint, and a digest of each dictionary."""
        return super().state_dict() | {"dictionaries": self._digests()}  # type: ignore[misc]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what a checkpoint holds.

        Raises:
            InputError: if it was made with other dictionaries.
        """
        known = state.get("dictionaries", {})
        for name, digest in self._digests().items():
            if known.get(name, digest) != digest:
                raise InputError(self._differs(name, known[name]))
        rest = {name: part for name, part in state.items() if name != "dictionaries"}
        super().load_state_dict(rest)  # type: ignore[misc]

    def get_checkpoint_dict(self) -> dict[str, Any]:
        """The same for fairseq-train, which asks for it in another way."""
        return {type(self).__name__: {"dictionaries": self._digests()}}

    def set_checkpoint_dict(self, state: dict[str, Any]) -> None:
        """Called by fairseq-train when it resumes."""
        self.load_state_dict(state)

    def _digests(self) -> dict[str, str]:
        cfg: Any = self.cfg  # type: ignore[attr-defined]
        dictionaries = {
            cfg.source_lang: self.source_dictionary,  # type: ignore[attr-defined]
            cfg.target_lang: self.target_dictionary,  # type: ignore[attr-defined]
        }
        return {
            name: hashlib.sha256("\n".join(dictionary.symbols).encode()).hexdigest()
            for name, dictionary in dictionaries.items()
        }

    def _differs(self, name: str, known: str) -> str:
        return (
            f"dict.{name}.txt of the data is not the dictionary that the checkpoint was trained "
            "with; use the data folder that it was trained with"
        )
