"""Records in checkpoints with which dictionaries they were made."""

import hashlib
from typing import Any

from fairseq_plugins.errors import InputError


class RemembersDictionaries:
    """Records dictionaries in every checkpoint; for tasks.

    Otherwise dictionaries of the same size with other entries would go unnoticed, and translate to
    nonsense. Inherit it before fairseq's task.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return fairseq's state of the task, and a digest of each dictionary."""
        return super().state_dict() | {"dictionaries": self._digests()}  # type: ignore[misc]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state from a checkpoint.

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
        """Return the same for fairseq-train, which uses another name."""
        return {type(self).__name__: {"dictionaries": self._digests()}}

    def set_checkpoint_dict(self, state: dict[str, Any]) -> None:
        """Load the state when fairseq-train resumes."""
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
