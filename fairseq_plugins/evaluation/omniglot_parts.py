"""Chooses the drawings to test a network with, never those that it was trained on."""

from pathlib import Path

from fairseq_plugins.checkpoints.files import read_checkpoint
from fairseq_plugins.data.omniglot import OmniglotImages, load_part, load_splits
from fairseq_plugins.errors import InputError

SPLIT, SIZE = "vinyals", 28  # for pixels, which are not trained
LAKE_SPLIT = "background-evaluation"


def part_to_test(
    path: Path | None, data: Path, split: str | None, part: str, size: int | None
) -> tuple[str, OmniglotImages]:
    """Load the drawings to test a network with.

    Args:
        path: of its checkpoint; None for plain pixels.
        data: folder created by data_prep.omniglot.
        split: of the characters; None for that of the training.
        part: of the split.
        size: of the drawings, in pixels; None for that of the training.

    Returns:
        The split, and the drawings.

    Raises:
        InputError: if the network was trained on another task, on drawings of another size, or on
            some of these characters in another split.
    """
    if path is None:
        return split or SPLIT, load_part(data, size or SIZE, split or SPLIT, part)
    trained = read_checkpoint(path)["cfg"]["task"]
    if "image_size" not in trained:
        raise InputError(f"{path}: was not trained with --task omniglot")
    if size not in (None, trained["image_size"]):
        raise InputError(
            f"{path}: was trained on drawings of {trained['image_size']} pixels; leave out "
            f"--image-size {size}"
        )
    split = split or trained["split"]
    if split != trained["split"]:
        _must_be_unseen(path, load_splits(data), trained["split"], split, part)
    return split, load_part(data, trained["image_size"], split, part)


def lake_must_be_unseen(path: Path | None, data: Path) -> None:
    """Check that a network was not trained on the evaluation set, from which Lake's runs come.

    Args:
        path: of its checkpoint; None for plain pixels.
        data: folder created by data_prep.omniglot.

    Raises:
        InputError: if it was trained on some of them.
    """
    if path is not None:
        trained = read_checkpoint(path)["cfg"]["task"]["split"]
        _must_be_unseen(path, load_splits(data), trained, LAKE_SPLIT, "test", "--lake")


def _must_be_unseen(
    path: Path, splits: dict, trained: str, split: str, part: str, option: str = "--split"
) -> None:
    if trained not in splits:
        raise InputError(f"{path}: was trained on the split {trained}, which this data lacks")
    tested = splits.get(split, {"parts": {}})["parts"].get(part, [])
    seen = set(tested) & set(splits[trained]["parts"]["train"])
    if seen:
        raise InputError(
            f"{path}: was trained on {len(seen)} of the {len(tested)} characters of {split}, part "
            f"{part}; leave out {option}, or use a network that was trained on that split"
        )
