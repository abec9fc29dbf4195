"""What the validation of one-shot learning reports."""

from fairseq.logging import metrics

from fairseq_plugins.criterions.one_shot import OneShot


def test_the_loss_of_a_validation_is_the_share_of_errors() -> None:
    """So the checkpoint with the lowest loss is the best one."""
    logs = [
        {"sample_size": 3, "episodes": 10, "5way_1shot": 900.0, "20way_1shot": 700.0},
        {"sample_size": 3, "episodes": 30, "5way_1shot": 2700.0, "20way_1shot": 2100.0},
    ]
    with metrics.aggregate() as found:
        OneShot.reduce_metrics(logs)
    values = found.get_smoothed_values()
    assert (values["5way_1shot"], values["20way_1shot"], values["loss"]) == (90.0, 70.0, 20.0)
