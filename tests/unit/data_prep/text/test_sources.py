"""Which members of an archive are read."""

from pathlib import Path

import pytest

from data_prep.text import sources
from data_prep.text.mix_config import Source


def test_languages_have_their_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[str] = []
    monkeypatch.setattr(sources, "unpack", lambda _, members: wanted.extend(members))
    source = Source(url="x", member="dev/{role}.{language}.sgm")
    sources._members(source, [tmp_path / "dev.tgz"], ("en", "de"), tmp_path)
    assert wanted == ["dev/src.en.sgm", "dev/ref.de.sgm"]
