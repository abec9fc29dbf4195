"""Measures how well networks that learn within an episode recognise a class shown again."""

from pathlib import Path

import torch
from fairseq import checkpoint_utils

from fairseq_plugins.checkpoints.files import read_checkpoint
from fairseq_plugins.criterions.sequence_episodes import SHOWINGS, right_labels, showing
from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.data.sequences import SequenceEpisodes
from fairseq_plugins.evaluation.one_shot import Share
from fairseq_plugins.progress import Progress

AT_ONCE = 50  # episodes


def learns_within_episodes(path: Path) -> bool:
    """Return whether a checkpoint contains such a network, not one that embeds drawings."""
    return read_checkpoint(path)["cfg"]["task"].get("episodes") == "sequences"


@torch.no_grad()
def sequence_showings(
    path: Path, data: Path, images: OmniglotImages, episodes: int, seed: int
) -> dict[int, Share]:
    """Measure how often a class is named correctly when it is shown for the k-th time.

    Classes, labels, drawings and their order are new in every episode; its length, classes and type
    of labels are as in training.

    Args:
        path: of the checkpoint.
        data: folder created by data_prep.omniglot.
        images: to test with.
        episodes: number of episodes.
        seed: of the episodes.

    Returns:
        k -> share of correct answers.
    """
    models, cfg = checkpoint_utils.load_model_ensemble([str(path)], {"data": str(data)})
    model, task = models[0].eval(), cfg.task
    drawn = SequenceEpisodes(images, seed, task.ways, task.length, task.labels, 1, episodes)
    right: dict[int, list[float]] = {k: [] for k in SHOWINGS}
    for first in Progress(
        range(0, episodes, AT_ONCE), "Playing", unit_scale=AT_ONCE, unit=" episodes"
    ):
        numbers = range(first, min(first + AT_ONCE, episodes))
        sample = drawn.collater([drawn[number] for number in numbers])
        logits, _ = model(**sample["net_input"])
        hit = right_labels(logits, sample["target"])
        times = showing(sample["classes"])
        for k, shares in right.items():
            for row, at in zip(hit, times == k, strict=True):
                shares += [float(row[at].float().mean())] if at.any() else []
    return {k: Share.of(torch.tensor(shares)) for k, shares in right.items() if shares}
