"""Learning curves come from fairseq's logs."""

from pathlib import Path

import pytest
from PIL import Image

from fairseq_plugins.errors import InputError
from fairseq_plugins.plots import style
from fairseq_plugins.plots.style import learning_curves, validation

JSON = '2026 | INFO | valid | {"epoch": 1, "valid_ppl": "%s", "valid_num_updates": "%s"}\n'
SIMPLE = (
    "2026 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 3 | ppl %s | "
    "wps 0 | num_updates %s | best_loss 3\n"
)


@pytest.mark.parametrize("line", [JSON, SIMPLE])
def test_both_formats_are_read(line: str, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("noise\n" + line % (50, 10) + "train_inner | ppl=3\n" + line % (7.5, 20))
    assert validation(log, "ppl") == [(10, 50.0), (20, 7.5)]
    learning_curves({"a": log}, ["ppl"], tmp_path / "new" / "curves.png")
    with Image.open(tmp_path / "new" / "curves.png") as image:
        assert min(image.size) > 300 and len(image.convert("L").getcolors()) > 2


def test_a_training_that_went_on_has_one_curve(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("".join(JSON % pair for pair in [(9, 10), (8, 20), (7, 30), (8.5, 20), (6, 30)]))
    assert validation(log, "ppl") == [(10, 9.0), (20, 8.5), (30, 6.0)]


def test_a_log_without_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.log").write_text("nothing\n")
    with pytest.raises(InputError, match="has no validation with ppl"):
        validation(tmp_path / "other.log", "ppl")


@pytest.mark.parametrize(
    ("metrics", "label"),
    [
        (["ppl"], "validation: perplexity"),
        (["showing_2", "showing_10"], "validation: correct, %"),
        (["ppl", "20way_1shot"], "validation: perplexity / correct, %"),
        (["gnorm"], "validation: gnorm"),
    ],
)
def test_axes_name_what_they_show(
    metrics: list[str], label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "train.log"
    values = ", ".join(f'"valid_{metric}": "1"' for metric in metrics)
    log.write_text(f'{{{values}, "valid_num_updates": "10"}}\n')
    labels = []
    monkeypatch.setattr(style, "save", lambda figure, _: labels.append(figure.axes[0].get_ylabel()))
    learning_curves({"a": log}, metrics, tmp_path / "curves.png")
    assert labels == [label]
