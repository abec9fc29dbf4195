"""Batches of algorithmic examples."""

from fairseq_plugins.data.algorithmic import (
    AlgorithmicDataset,
    Curriculum,
    CutAtFirst,
    make_dictionary,
)


def test_lengths_grow_to_the_longest_and_take_turns() -> None:
    lengths = [Curriculum(2, 6, batches=40)(batch) for batch in range(200)]
    assert lengths[0] == 2 and max(lengths[:20]) <= 4
    assert set(lengths[40:]) == {2, 3, 4, 5, 6}
    counts = [lengths[50:200].count(length) for length in range(2, 7)]
    assert max(counts) - min(counts) <= 1


def test_without_a_curriculum_all_lengths_come_at_once() -> None:
    assert [Curriculum(1, 3, 0)(batch) for batch in range(6)] == [1, 2, 3, 1, 2, 3]


def test_every_other_batch_may_be_cut_at_first() -> None:
    lengths = [CutAtFirst(1, 3, batches=6)(batch) for batch in range(9)]
    assert lengths == [3, 1, 3, 2, 3, 3, 3, 3, 3]


def test_a_batch_is_of_one_length_and_as_translation_wants_it() -> None:
    dictionary = make_dictionary(["a", "b"])
    dataset = AlgorithmicDataset(
        lambda index, length: (["a"] * length, ["b"] * length + ["a"]),
        lambda batch: batch + 1, dictionary, batches=3, batch_size=2,
    )  # fmt: skip
    batch = dataset.collater([dataset[index] for index in (2, 3)])
    a, b, eos = dictionary.index("a"), dictionary.index("b"), dictionary.eos()
    assert batch["net_input"]["src_tokens"].tolist() == [[a, a, eos]] * 2
    assert batch["target"].tolist() == [[b, b, a, eos]] * 2
    assert batch["net_input"]["prev_output_tokens"].tolist() == [[eos, b, b, a]] * 2
    assert sorted(batch["id"].tolist()) == [2, 3]
