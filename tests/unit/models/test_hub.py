"""A trained translator in a Python program, through fairseq's ``from_pretrained``."""

from typing import Any

import pytest

from fairseq_plugins.errors import InputError
from fairseq_plugins.models.gnmt import GNMTModel


@pytest.fixture(scope="module")
def hub(trained: Any) -> Any:
    return GNMTModel.from_pretrained(
        str(trained.folder), checkpoint_file=trained.last.name, data_name_or_path=str(trained.data)
    )


def test_it_translates_one_sentence_or_several(hub: Any) -> None:
    alone = hub.translate("w1 w2", max_len_b=5)
    assert isinstance(alone, str) and alone.split()
    assert hub.translate(["w1 w2", "w3"], max_len_b=5)[0] == alone


def test_sources_without_translations_cannot_be_scored(hub: Any) -> None:
    with pytest.raises(InputError, match="fairseq-generate --score-reference"):
        hub.score("w1 w2")
