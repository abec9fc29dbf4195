"""Neural GPUs: step by step, in any batch, with and without memory."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from fairseq_plugins.errors import InputError
from tests.tiny_models import MEMORY, PAIRS, batch, criterion, dictionary, translation_task

from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY  # isort: skip

READS = ("embed", "interpolate", "both")
SIZES: dict[str, Any] = {
    "maps": 8,
    "layers": 1,
    "extra_columns": 5,
    "seed": 1,
    "max_source_positions": 50,
    "max_target_positions": 50,
}
ENDLESS = 20  # symbols, more than any state has columns


def model(arch: str, **options: Any) -> Any:
    torch.manual_seed(1)
    given = SIZES | (MEMORY if "memory" in arch else {}) | options
    return ARCH_MODEL_REGISTRY[arch].build_model(
        MODEL_DATACLASS_REGISTRY[arch](**given), translation_task()
    )


def remembering(read: str) -> Any:
    """In evaluation mode, with a memory that holds ``PAIRS``."""
    result, sample = model("extended_neural_gpu_memory", memory_read=read).eval(), batch()
    with torch.no_grad():
        query = result(**sample["net_input"])[1]["memory"].query
    target = sample["target"]
    result.decoder.reader.memory.write(query, target[target != dictionary().pad()])
    return result


MODELS: dict[str, Any] = {
    "plain": lambda: model("neural_gpu").eval(),
    "extended": lambda: model("extended_neural_gpu", layers=2).eval(),
    "relaxed": lambda: model("extended_neural_gpu", relaxation=3, relaxation_updates=9).eval(),
} | {read: lambda read=read: remembering(read) for read in READS}
kinds = pytest.mark.parametrize("kind", list(MODELS))


def log_probs(model: Any, output: Any) -> Tensor:
    return model.get_normalized_probs(output, log_probs=True)


@kinds
def test_incremental_decoding_with_changing_beams_equals_full_decoding(kind: str) -> None:
    subject = MODELS[kind]()
    encoded = subject.encoder(batch()["net_input"]["src_tokens"])
    shortest = int(encoded["columns"].min())
    state: dict = {}
    draw = torch.Generator().manual_seed(3)
    rows = len(PAIRS)
    prefix = torch.full((rows, 1), dictionary().eos())
    for _ in range(shortest):
        step = log_probs(subject, subject.decoder(prefix, encoded, state))[:, -1]
        full = log_probs(subject, subject.decoder(prefix, encoded))[:, -1]
        torch.testing.assert_close(step, full, rtol=0, atol=1e-5)
        order = torch.randint(rows, (rows,), generator=draw)
        words = torch.randint(4, len(dictionary()), (rows, 1), generator=draw)
        prefix = torch.cat([prefix[order], words], dim=1)
        encoded = subject.encoder.reorder_encoder_out(encoded, order)
        subject.decoder.reorder_incremental_state(state, order)


@kinds
def test_a_sequence_in_a_batch_is_decoded_as_if_alone(kind: str) -> None:
    subject, sample = MODELS[kind](), batch()
    together = log_probs(subject, subject(**sample["net_input"]))
    for row, index in enumerate(sample["id"].tolist()):
        alone = log_probs(subject, subject(**batch([PAIRS[index]])["net_input"]))[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=0, atol=1e-5)


@kinds
def test_so_it_is_when_the_embedding_of_padding_has_been_trained(kind: str) -> None:
    subject, sample = MODELS[kind](), batch()
    with torch.no_grad():
        subject.encoder.embedding.weight[dictionary().pad()] = 1.0
    together = log_probs(subject, subject(**sample["net_input"]))
    for row, index in enumerate(sample["id"].tolist()):
        alone = log_probs(subject, subject(**batch([PAIRS[index]])["net_input"]))[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=0, atol=1e-5)


@kinds
def test_the_source_may_be_padded_on_either_side(kind: str) -> None:
    subject = MODELS[kind]()
    right, left = (
        log_probs(subject, subject(**batch(left_pad_source=side)["net_input"]))
        for side in (False, True)
    )
    torch.testing.assert_close(right, left, rtol=0, atol=1e-6)


@kinds
def test_a_hypothesis_ends_with_its_last_column(kind: str) -> None:
    subject = MODELS[kind]()
    with torch.no_grad():
        subject.decoder.output.bias[dictionary().eos()] = -99
    generator = SequenceGenerator([subject], dictionary(), beam_size=3, max_len_b=ENDLESS)
    sample = batch()
    found = generator.generate([], sample)
    for row, source in enumerate(sample["net_input"]["src_tokens"]):
        columns = int((source != dictionary().pad()).sum()) + SIZES["extra_columns"]
        assert all(len(one["tokens"]) <= columns + 1 for one in found[row])


@pytest.mark.parametrize("kind", ["neural_gpu", "extended_neural_gpu"])
def test_a_target_that_does_not_fit_is_refused(kind: str) -> None:
    subject = model(kind, extra_columns=1)
    subject(**batch([([2, 3], [1, 2, 3])])["net_input"])
    with pytest.raises(InputError, match="--extra-columns 1 or more"):
        subject(**batch([([2], [1, 2, 3])])["net_input"])


def test_the_query_needs_a_second_row() -> None:
    with pytest.raises(InputError, match="--height 1"):
        model("extended_neural_gpu_memory", height=1)


@pytest.mark.parametrize("read", READS)
def test_all_parameters_learn(read: str) -> None:
    subject = model("extended_neural_gpu_memory", memory_read=read).train()
    sample, learner = batch(), criterion()
    for _ in range(2):  # the first time, the memory is empty
        subject.zero_grad()
        loss, _, _ = learner(subject, sample)
        loss.backward()
        subject.decoder.reader.memory.commit()
    silent = {name for name, p in subject.named_parameters() if p.grad is None or not p.grad.any()}
    assert not silent


def test_the_answer_on_the_tape_changes_what_follows() -> None:
    subject, sample = remembering("embed"), batch()
    before = log_probs(subject, subject(**sample["net_input"]))
    subject.decoder.reader.memory.clear()
    after = log_probs(subject, subject(**sample["net_input"]))
    assert not torch.allclose(before, after)


def test_the_memory_joins_in_when_it_is_time() -> None:
    subject, sample = remembering("both"), batch()
    subject.decoder.joins_at = 5
    alone, together = 4, 5
    subject.set_num_updates(alone)
    logits, extra = subject(**sample["net_input"])
    assert "memory" not in extra
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in subject.decoder.reader.parameters())
    subject.decoder.reader.memory.clear()  # an empty one has no say, either
    subject.set_num_updates(together)
    logits_of_empty, extra = subject(**sample["net_input"])
    assert "memory" in extra
    torch.testing.assert_close(logits, logits_of_empty)


def test_questions_that_depend_on_answers_are_always_answered() -> None:
    subject, sample = remembering("both"), batch()
    _, expected = subject(**sample["net_input"])
    with subject.decoder.questions_only():
        _, extra = subject(**sample["net_input"])
    assert torch.equal(extra["memory"].query, expected["memory"].query)
    assert extra["memory"].hits is not None


def test_the_right_answer_is_shown_less_and_less() -> None:
    subject = model("extended_neural_gpu_memory", memory_gold_updates=100, memory_from_update=50)
    shares = []
    for updates in (50, 75, 150, 250):
        subject.set_num_updates(updates)
        shares.append(subject.decoder.reader.gold_share)
    assert shares == [1.0, 0.75, 0.0, 0.0]


def test_the_right_answer_stands_on_the_tape_while_it_is_shown() -> None:
    subject = model("extended_neural_gpu_memory", memory_gold_updates=100).train()
    subject.set_num_updates(0)
    reader, sample = subject.decoder.reader, batch()
    seen: list[Tensor] = []
    original = reader.answer
    reader.answer = lambda value, confidence: seen.append(value) or original(value, confidence)
    subject(**sample["net_input"])
    target = sample["target"]
    values = torch.stack(seen, dim=1)
    real = target != dictionary().pad()
    assert torch.equal(values[real], target[real])
    reader.eval()
    seen.clear()
    subject(**sample["net_input"])
    assert not torch.equal(torch.stack(seen, dim=1)[real], target[real])


@torch.no_grad()
def distances(subject: Any) -> list[float]:
    """Return how far the first stack's parameters are from the others', for each part."""
    return [
        max(
            float((one - other).abs().max())
            for stack in part.core.stacks[1:]
            for one, other in zip(part.core.stacks[0].parameters(), stack.parameters(), strict=True)
        )
        for part in (subject.encoder, subject.decoder)
    ]


def test_relaxed_parameters_come_together() -> None:
    subject = MODELS["relaxed"]()
    before = distances(subject)
    subject.after_optimizer_step(0)  # hardly pulled
    assert all(new > 0.9 * old for new, old in zip(distances(subject), before, strict=True))
    subject.after_optimizer_step(8)  # the ninth update is the last one
    assert max(distances(subject)) < 1e-6


def test_a_model_whose_parameters_have_come_together_is_one_that_never_was_relaxed() -> None:
    relaxed, tied = MODELS["relaxed"](), model("extended_neural_gpu").eval()
    relaxed.after_optimizer_step(8)
    state = {k: v for k, v in relaxed.state_dict().items() if ".stacks." not in k or ".0." in k}
    tied.load_state_dict({k: state[k] for k in tied.state_dict()})
    sample = batch()["net_input"]
    torch.testing.assert_close(relaxed(**sample)[0], tied(**sample)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("arch", ["neural_gpu", "extended_neural_gpu"])
def test_relaxed_parameters_that_no_step_used_have_a_gradient_of_zero(arch: str) -> None:
    many = 30  # stacks, more than there are steps
    subject = model(arch, relaxation=many, relaxation_updates=9)
    subject(**batch()["net_input"])[0].sum().backward()
    gradients = {name: parameter.grad for name, parameter in subject.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    unused = [grad for name, grad in gradients.items() if f".stacks.{many - 1}." in name]
    assert unused and not any(gradient.any() for gradient in unused)


@pytest.mark.parametrize("option", [{"gradient_noise": 0.1}, {"relaxation": 2}])
def test_noise_and_relaxation_want_float32(option: dict) -> None:
    subject = model("neural_gpu", relaxation_updates=9, **option)
    subject.before_optimizer_step(0)
    with pytest.raises(InputError, match="use --autocast bfloat16 instead of --fp16"):
        subject.half().before_optimizer_step(0)


def test_right_answers_are_not_shown_where_nothing_is_on_the_tape() -> None:
    subject = model("extended_neural_gpu_memory", memory_read="interpolate", memory_gold_updates=9)
    with pytest.raises(InputError, match="leave out one of the two"):
        subject.before_optimizer_step(0)


def test_relaxation_has_to_end() -> None:
    with pytest.raises(InputError, match="--relaxation needs --relaxation-updates"):
        model("neural_gpu", relaxation=2)


def test_gradient_noise_fades_and_is_the_same_for_all_workers() -> None:
    def noise(updates: int) -> Tensor:
        subject = model("neural_gpu", gradient_noise=0.5)
        for parameter in subject.parameters():
            parameter.grad = torch.zeros_like(parameter)
        subject.before_optimizer_step(updates)
        return torch.cat([parameter.grad.flatten() for parameter in subject.parameters()])

    first, late = noise(0), noise(10_000)
    assert torch.equal(first, noise(0)) and not torch.equal(first, noise(1))
    assert float(first.std()) == pytest.approx(0.5, rel=0.05)
    assert float(late.std()) == pytest.approx(0.5 / 10_001**0.275, rel=0.05)


def test_without_options_nothing_is_done_to_gradients_and_parameters() -> None:
    subject = model("neural_gpu")
    subject.encoder.embedding.weight.grad = torch.zeros_like(subject.encoder.embedding.weight)
    before = {name: tensor.clone() for name, tensor in subject.state_dict().items()}
    subject.before_optimizer_step(0)
    subject.after_optimizer_step(0)
    assert not subject.encoder.embedding.weight.grad.any()
    assert all(torch.equal(tensor, before[name]) for name, tensor in subject.state_dict().items())


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("maps", 0), ("height", 0), ("layers", 0), ("relaxation", 0), ("extra_columns", -1),
     ("dropout", -0.1), ("dropout", 1.0)],
)  # fmt: skip
def test_impossible_sizes_are_refused(option: str, wrong: float) -> None:
    with pytest.raises(InputError, match=f"--{option.replace('_', '-')} {wrong}: must be"):
        model("neural_gpu", **{option: wrong})


def test_words_cannot_be_aligned_without_attention() -> None:
    cfg = SimpleNamespace(generation=SimpleNamespace(print_alignment="hard"))
    with pytest.raises(InputError, match="--print-alignment: a Neural GPU has no attention"):
        model("neural_gpu").prepare_for_inference_(cfg)
