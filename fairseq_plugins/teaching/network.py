"""The network of a translator in use: from pieces to pieces, and what its memory stores."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, tasks, utils
from fairseq.data import LanguagePairDataset
from fairseq.dataclass.configs import GenerationConfig
from fairseq.token_generation_constraints import pack_constraints
from omegaconf import OmegaConf, open_dict
from safetensors.torch import load, save
from torch import Tensor

from fairseq_plugins.checkpoints.corpora import corpora_of
from fairseq_plugins.checkpoints.files import fit_to_memory
from fairseq_plugins.memory import KeyValueMemory, memories_in
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.terms import Term, TermMemory
from fairseq_plugins.modules.memory_reading import MemoryReading
from fairseq_plugins.modules.term_reader import TermReader, TermReading
from fairseq_plugins.patches.unknown_words import copied_places
from fairseq_plugins.teaching.about import About
from fairseq_plugins.teaching.folder import CHECKPOINT, fingerprint_of
from fairseq_plugins.teaching.terms import terms_of

BATCH = 4000  # tokens, including padding
SMALLEST = 1e-30


@dataclass(frozen=True)
class Hypothesis:
    """The best translation that a search found.

    Attributes:
        tokens: [T] int64, without the end.
        aligned: for each of them, the source token with the most attention; for a token outside
            the dictionary, the one that it copies.
        log_probs: [T + 1], of each token and the end.
    """

    tokens: Tensor
    aligned: list[int]
    log_probs: Tensor


@dataclass(frozen=True)
class Decoding:
    """What a memory stores for a pair: one entry for each target token, including the end.

    Attributes:
        query: [T, key_dim] float32.
        target: [T] int64.
        terms: new words with their source words.
    """

    query: Tensor
    target: Tensor
    terms: list[Term]

    def to_bytes(self) -> bytes:
        """Return the bytes to store in a database."""
        width = max((len(term.pieces) for term in self.terms), default=0)
        rows = [[*t.pieces, *[NOTHING] * (width - len(t.pieces))] for t in self.terms]
        return save({
            "query": self.query.contiguous(),
            "target": self.target.contiguous(),
            "pieces": torch.tensor(rows, dtype=torch.int64).view(len(rows), width),
            "cues": torch.tensor([(t.cue, t.commonness) for t in self.terms], dtype=torch.int64),
        })  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> "Decoding":
        """Return the decoding from the bytes of :meth:`to_bytes`."""
        held = load(data)
        rows = zip(held["cues"].tolist(), held["pieces"].tolist(), strict=True)
        terms = [
            Term(cue, tuple(piece for piece in pieces if piece != NOTHING), commonness)
            for (cue, commonness), pieces in rows
        ]
        return cls(held["query"], held["target"], terms)


@dataclass(frozen=True)
class Reading:
    """What the network and its memory contribute to each token of a target.

    Attributes:
        probability: [T], of the target tokens.
        network: [T], the part of the softmax, after the gates.
        term: [T], the part of a taught term.
        term_lesson: [T] int64, the lesson of this term; arbitrary where its part is 0.
        parts: [T, k], the part of each neighbour; 0 for those with another token.
        similarities: [T, k].
        slots: [T, k], -1 where there is no neighbour.
        mixes: whether the parts add up to the probability; they do not if answers are embedded.
    """

    probability: Tensor
    network: Tensor
    term: Tensor
    term_lesson: Tensor
    parts: Tensor
    similarities: Tensor
    slots: Tensor
    mixes: bool


class Network:
    """The model of a translator folder.

    Attributes:
        corpora: that filled its memory.
        fingerprint: of the folder, see :func:`~.folder.fingerprint_of`.
        longest: greatest number of pieces in a sentence, without the end.

    Args:
        folder: of the translator.
        about: description of the folder.
        device: to compute on.
    """

    def __init__(self, folder: Path, about: About, device: str) -> None:
        path = str(folder / CHECKPOINT)
        state = checkpoint_utils.load_checkpoint_to_cpu(path)
        fit_to_memory(state["cfg"], None)
        self.corpora = corpora_of(state)
        self.fingerprint = fingerprint_of(folder, (about.source, about.target), state["model"])
        with open_dict(state["cfg"]):
            cfg = state["cfg"].task
            cfg.data, cfg.source_lang, cfg.target_lang = str(folder), about.source, about.target
        self.task = tasks.setup_task(cfg)
        models, _, _ = checkpoint_utils.load_model_ensemble_and_task(
            [path], task=self.task, state=state
        )
        self.device = torch.device(device)
        self.model = models[0].to(self.device).eval()
        limits = self.model.max_positions(), self.task.max_positions()
        self.longest = min(utils.resolve_max_positions(*limits)) - 1
        self._searches: dict[tuple[int, bool], Any] = {}

    @property
    def memory(self) -> KeyValueMemory:
        """The memory of the decoder."""
        return memories_in(self.model)[0]

    @property
    def terms(self) -> TermMemory | None:
        """The memory of new words, if the model has one."""
        reader: TermReader | None = getattr(self.model.decoder, "terms", None)
        return None if reader is None else reader.memory

    @property
    def mixes(self) -> bool:
        """Whether answers of the memory are only mixed into the softmax."""
        return self.model.decoder.reader.mode == "interpolate"

    @torch.no_grad()
    def translate(
        self,
        sources: Sequence[Tensor],
        beam: int,
        memory: bool = True,
        required: Sequence[Sequence[Tensor]] | None = None,
    ) -> list[Hypothesis]:
        """Search for the best translations with fairseq's beam search.

        Args:
            sources: tokens [S] each, with the end.
            beam: width.
            memory: whether to use the memory.
            required: for each source, phrases that its translation must contain, tokens [P] each.
                    The search is then that of Post and Vilar (2018).
        """
        found: dict[int, Hypothesis] = {}
        search = self._search(beam, constrained=required is not None)
        with nullcontext() if memory else self.model.decoder.without_memory():
            for numbers in self._batches([len(source) for source in sources]):
                sample = self._sample([sources[number] for number in numbers])
                constraints = None
                if required is not None:
                    rows = [required[numbers[index]] for index in sample["id"].tolist()]
                    constraints = pack_constraints([list(row) for row in rows])
                answers = self.task.inference_step(
                    search, [self.model], sample, constraints=constraints
                )
                for index, hypotheses in zip(sample["id"].tolist(), answers, strict=True):
                    source = sources[numbers[index]]
                    found[numbers[index]] = self._hypothesis(hypotheses[0], source)
        return [found[number] for number in range(len(sources))]

    @torch.no_grad()
    def decode(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Decoding]:
        """Decode given translations, and return what a memory stores for them.

        Args:
            pairs: tokens of source and target, each with the end.
        """
        found: dict[int, Decoding] = {}
        for numbers in self._batches([len(source) + len(target) for source, target in pairs]):
            sample = self._sample(*zip(*(pairs[number] for number in numbers), strict=True))
            with self.model.decoder.questions_only():
                _, extra = self.model(**sample["net_input"])
            real = sample["target"] != self.task.target_dictionary.pad()  # [batch, time]
            lengths = real.sum(1).tolist()
            rows = zip(
                extra["memory"].query.split(lengths),
                sample["target"][real].split(lengths),
                strict=True,
            )
            for row, (index, (queries, target)) in enumerate(
                zip(sample["id"].tolist(), rows, strict=True)
            ):
                found[numbers[index]] = Decoding(
                    queries.float().cpu().clone(),
                    target.cpu().clone(),
                    self._terms_of(pairs[numbers[index]][0], target, extra, row),
                )
        return [found[number] for number in range(len(pairs))]

    def nll(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the mean negative log-likelihood of the target tokens without memory, in nats.

        Args:
            pairs: tokens of source and target, each with the end.
        """
        sample = self._sample(*zip(*pairs, strict=True))
        with self.model.decoder.without_memory():
            logits, _ = self.model(**sample["net_input"])
        pad = self.task.target_dictionary.pad()
        flat = logits.float().flatten(0, 1)
        return torch.nn.functional.cross_entropy(flat, sample["target"].flatten(), ignore_index=pad)

    @torch.no_grad()
    def ask(
        self, pairs: Sequence[tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[MemoryReading, Tensor, Tensor]]:
        """Ask the memory at every target token of given translations, a batch at a time.

        Args:
            pairs: tokens of source and target, each with the end.

        Yields:
            What was read at N tokens, these tokens [N], and log p [N] of each by the softmax alone.
        """
        for numbers in self._batches([len(source) + len(target) for source, target in pairs]):
            sample = self._sample(*zip(*(pairs[number] for number in numbers), strict=True))
            logits, extra = self.model(**sample["net_input"])
            real = sample["target"] != self.task.target_dictionary.pad()  # [batch, time]
            target = sample["target"][real]
            log_probs = torch.log_softmax(logits[real].float(), dim=-1)
            yield extra["memory"], target, log_probs.gather(1, target.unsqueeze(1)).squeeze(1)

    def teach(self, decoded: Sequence[Decoding], origins: Sequence[int]) -> list[Tensor]:
        """Write decoded pairs to the memory.

        Args:
            decoded: the pairs.
            origins: the number of each lesson.

        Returns:
            The slots [T] of each pair's target tokens.
        """
        lengths = [len(one.target) for one in decoded]
        slots = self.memory.teach(
            torch.cat([one.query for one in decoded]).to(self.device),
            torch.cat([one.target for one in decoded]).to(self.device),
            torch.tensor(origins).repeat_interleave(torch.tensor(lengths)),
        )
        if self.terms is not None:
            self.terms.teach_all(zip((one.terms for one in decoded), origins, strict=True))
        return list(slots.cpu().split(lengths))

    def forget(self, slots: Sequence[Tensor], origins: Sequence[int]) -> None:
        """Forget lessons: the slots of each, and its new words."""
        self.memory.forget(torch.cat(list(slots)))
        if self.terms is not None:
            self.terms.forget(*origins)

    def _terms_of(self, source: Tensor, target: Tensor, extra: dict, row: int) -> list[Term]:
        """Find the new words of one pair of a batch, if the network provides its attention."""
        if self.terms is None:
            return []
        attention = extra["attn"][row, : len(target), : len(source)]
        return terms_of(self.model.decoder.terms, source.to(self.device), target, attention)

    @torch.no_grad()
    def read(self, source: Tensor, target: Tensor) -> Reading:
        """Return where the probability of each token of a given translation comes from.

        Args:
            source: [S] int64, with the end.
            target: [T] int64, with the end.
        """
        sample = self._sample([source], [target])
        output = self.model(**sample["net_input"])
        reading: MemoryReading = output[1]["memory"]
        hits = reading.hits
        assert hits is not None, "the memory was asked"
        tokens = sample["target"][0]
        log_probs = torch.log_softmax(output[0].float(), dim=-1)
        total = self.model.get_normalized_probs(output, log_probs=False)
        alone, total = (p[0].gather(1, tokens.unsqueeze(1)).squeeze(1)
                        for p in (log_probs.exp(), total))  # fmt: skip
        network, parts = alone, torch.zeros_like(hits.similarities)
        term, lesson = torch.zeros_like(total), torch.full_like(tokens, NOTHING)
        right = hits.values == tokens.unsqueeze(1)
        if reading.gate is not None and reading.log_weights is not None:
            gate = torch.sigmoid(reading.gate).unsqueeze(1)
            network = (1 - gate.squeeze(1)) * alone
            parts = (gate * reading.log_weights.exp()).masked_fill(~right, 0.0)
        terms: TermReading | None = output[1].get("terms")
        if terms is not None:
            before = reading.at_positions(reading.mix, log_probs)
            term = terms.gates(before)[0] * (terms.piece[0] == tokens)
            lesson = terms.origin[0]
            after = terms.mix(before.clone())[0].gather(1, tokens.unsqueeze(1)).squeeze(1).exp()
            mixture = network + parts.sum(1)
            rest = ((after - term).clamp(min=0) / mixture.clamp(min=SMALLEST)).unsqueeze(1)
            network, parts = network * rest.squeeze(1), parts * rest
        if reading.lessons is not None:
            share, of_lessons = reading.lessons.share, reading.lessons.weights
            network, term = (part * (1 - share.squeeze(1)) for part in (network, term))
            parts = (1 - share) * parts + share * of_lessons.masked_fill(~right, 0.0)
        return Reading(
            total.cpu(), network.cpu(), term.cpu(), lesson.cpu(), parts.cpu(),
            hits.similarities.cpu(), hits.slots.cpu(), self.mixes,
        )  # fmt: skip

    def _search(self, beam: int, constrained: bool = False) -> Any:
        if (beam, constrained) not in self._searches:
            cfg = OmegaConf.structured(GenerationConfig(beam=beam))
            if constrained:
                cfg.constraints = "unordered"  # as fairseq-generate --constraints
            self._searches[beam, constrained] = self.task.build_generator([self.model], cfg)
        return self._searches[beam, constrained]

    def _hypothesis(self, found: dict[str, Any], source: Tensor) -> Hypothesis:
        tokens, aligned = found["tokens"].cpu(), list[int]()
        if found["attention"] is not None:
            attention = found["attention"].cpu()
            aligned = attention.argmax(0).tolist()[: len(tokens) - 1]
            unk = self.task.target_dictionary.unk()
            copied = copied_places(tokens.tolist(), attention, source.tolist(), unk)
            for place, origin in copied.items():
                aligned[place] = origin
        return Hypothesis(tokens[:-1], aligned, found["positional_scores"].cpu())

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Group numbers of sentences that are about equally long."""
        batch, longest = list[int](), 0
        for number in sorted(range(len(lengths)), key=lengths.__getitem__):
            longest = max(longest, lengths[number])
            if batch and longest * (len(batch) + 1) > BATCH:
                yield batch
                batch, longest = [], lengths[number]
            batch.append(number)
        if batch:
            yield batch

    def _sample(self, sources: Sequence[Tensor], targets: Sequence[Tensor] | None = None) -> dict:
        """Return a batch in fairseq's form; ``id`` gives the order."""
        sides: list[Any] = [sources, [len(source) for source in sources]]
        sides.append(self.task.source_dictionary)
        if targets is not None:
            sides += [targets, [len(target) for target in targets]]
            sides.append(self.task.target_dictionary)
        data = LanguagePairDataset(*sides, left_pad_source=False, left_pad_target=False)
        sample = data.collater([data[number] for number in range(len(sources))])
        return utils.move_to_cuda(sample) if self.device.type == "cuda" else sample
