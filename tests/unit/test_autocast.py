"""What --autocast means on machines with and without native bfloat16."""

import logging
import re

import pytest
import torch

from fairseq_plugins import autocast
from fairseq_plugins.errors import InputError
from tests.conftest import ROOT


@pytest.fixture(params=[True, False], ids=["native", "emulated"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(autocast, "native_bfloat16", lambda device: request.param)
    return request.param


def product(name: str) -> torch.dtype:
    with autocast.context(name, "cpu"):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_auto_multiplies_in_bfloat16_where_it_is_native(native: bool) -> None:
    assert product("auto") == (torch.bfloat16 if native else torch.float32)


def test_none_multiplies_in_float32(native: bool) -> None:
    assert product("none") == torch.float32


def test_a_checkpoint_that_was_trained_in_bfloat16_is_usable_everywhere(native: bool) -> None:
    assert product("bfloat16") == (torch.bfloat16 if native else torch.float32)


def test_bfloat16_by_name_is_refused_where_it_is_emulated(native: bool) -> None:
    if native:
        autocast.choose("bfloat16", "cpu", "Training")
        return
    with pytest.raises(InputError, match=r"CPU does not .* use --autocast auto") as refused:
        autocast.choose("bfloat16", "cpu", "Training")
    assert "\n" not in str(refused.value)


def test_the_log_says_which_format_was_chosen(
    native: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    autocast.choose("auto", torch.device("cpu"), "Training")
    chosen = "bfloat16" if native else "float32"
    assert caplog.messages == [f"Training in {chosen} (--autocast auto)"]


def test_nothing_that_is_published_needs_native_bfloat16() -> None:
    paths = [*ROOT.glob("configs/*.yaml"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    named = re.compile(r"autocast[:=]? *bfloat16")
    assert [path.name for path in paths if named.search(path.read_text("utf-8"))] == []
