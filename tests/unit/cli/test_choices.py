"""The choices of command lines, which import nothing heavy, are those of the code."""

from fairseq_plugins.autocast import CHOICES
from fairseq_plugins.benchmarks.duels.train import COMPARISONS
from fairseq_plugins.benchmarks.programs import train
from fairseq_plugins.cli import _decoding, attach, fill
from fairseq_plugins.cli.evaluate import omniglot as evaluate_omniglot
from fairseq_plugins.evaluation.omniglot import PROTOCOLS
from fairseq_plugins.experiments import algorithms as all_algorithms
from fairseq_plugins.experiments import omniglot as all_splits
from fairseq_plugins.experiments import rare_symbols as all_models
from fairseq_plugins.experiments.programs import algorithms, omniglot, rare_symbols
from fairseq_plugins.memory.config import STORAGES
from fairseq_plugins.modules.memory_reader import GATES
from fairseq_plugins.modules.one_shot import RULES
from fairseq_plugins.modules.write_policy import POLICIES
from fairseq_plugins.teaching.queries import QUERIES


def test_number_formats() -> None:
    assert _decoding.AUTOCAST == CHOICES


def test_policies() -> None:
    assert fill.POLICIES == POLICIES
    assert fill.STORAGES == STORAGES


def test_what_a_memory_is_attached_with() -> None:
    assert attach.QUERIES == QUERIES
    assert attach.GATES == GATES


def test_protocols() -> None:
    names = ["5way_1shot", "5way_5shot", "20way_1shot", "20way_5shot"]
    assert [protocol.name for protocol in PROTOCOLS] == names


def test_rules() -> None:
    assert evaluate_omniglot.RULES == RULES


def test_comparisons() -> None:
    assert tuple(COMPARISONS) == train.COMPARISONS


def test_experiments() -> None:
    assert algorithms.ALGORITHMS == all_algorithms.NAMES
    assert omniglot.SPLITS == all_splits.SPLITS
    assert tuple(all_models.MODELS) == rare_symbols.MODELS
