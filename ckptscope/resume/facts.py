"""What is known of one checkpoint before it is judged: values with their witnesses.

Everything has a default, so that a test can write down just what a rule asks for.
:mod:`ckptscope.resume.gather` computes the facts from files; rules only read them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ckptscope.checkpoint.absence import MissingKey
from ckptscope.checkpoint.discover import Location, Partner
from ckptscope.checkpoint.meta_graph import GraphPipeline, MetaGraph
from ckptscope.checkpoint.model import Checkpoint, Damage
from ckptscope.checkpoint.roles import Inventory
from ckptscope.checkpoint.run_record import RunRecord
from ckptscope.iterator.position import Hints, Position, Reading
from ckptscope.iterator.seeds import SeedProof
from ckptscope.iterator.tree import IteratorTree, Stage
from ckptscope.resume.agreement import Agreement
from ckptscope.resume.model import Component
from ckptscope.resume.neighbours import Neighbour
from ckptscope.resume.recorded import RecordedPlace

Framework = Literal["estimator", "saver", "saved_model", "keras_backup", "keras", "checkpoint"]
# How the training gets its data; ``docs/advice.md`` has a row for each.
Feeding = Literal["fit", "estimator", "queue", "placeholder", "generator", "iterator", "loop"]
Standing = Literal["agreed", "alone", "contradicted", "unknown"]

# Checksums of all tensors are verified without being asked up to this many bytes of data.
CHECKSUM_LIMIT_NBYTES = 1 << 30
# Names of a step counter at the root of a program, most telling first. docs/findings.md lists them.
STEP_NAMES = tuple(
    """
    global_step step train_step training_step current_step steps num_steps step_counter
    global_steps iteration iterations iter train_counter _train_counter update_step num_updates
    """.split()
)
# Names of a saved place in the data: the program skips by it itself.
INDEX_NAMES = tuple(
    """
    start_index data_index data_position dataset_index dataset_position consumed_samples
    consumed_train_samples consumed_examples examples_seen samples_seen num_examples_seen
    seen_examples next_index next_example batches_seen consumed_batches start_batch data_offset
    data_step record_index example_index sample_index start_example start_record
    """.split()
)


@dataclass(frozen=True, slots=True)
class Witness:
    """Who says a number: ``name`` as a person knows it, ``key`` where it can be checked."""

    name: str
    value: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name} = {self.value:,}"


@dataclass(frozen=True, slots=True)
class UpdateFact:
    """How many updates the optimizers of this checkpoint have made.

    Attributes:
        counts: iterations of each stored optimizer.
        powers: what TF1's beta powers say; None where there are none, or they do not tell.
        moved_slot: key of a slot that starts at zero and is not zero any more.
        idle: no optimizer has made an update: all counts are 0 and all slots are zero.
    """

    counts: tuple[Witness, ...] = ()
    powers: Witness | None = None
    moved_slot: str | None = None
    idle: bool = False

    @property
    def most(self) -> Witness | None:
        """The witness of the most updates; None where nobody counts them."""
        found = [*self.counts, *((self.powers,) if self.powers is not None else ())]
        return max(found, key=lambda witness: witness.value or 0, default=None)

    @property
    def made(self) -> int | None:
        """Updates of the optimizer that made the most; None where nobody counts them."""
        return None if self.most is None else self.most.value

    @property
    def values(self) -> frozenset[int]:
        """All counts above 0."""
        found = {witness.value for witness in self.counts}
        found.add(None if self.powers is None else self.powers.value)
        return frozenset(value for value in found if value)


@dataclass(frozen=True, slots=True)
class StepFact:
    """The run's step counter.

    Attributes:
        value: None where there is none, where candidates differ, or where it is refuted.
        key: where it is stored.
        source: ``own`` (the run's counter), ``optimizer`` (iterations stand in for an absent one),
            ``graph`` (a counter that the stored graph raises), ``run_record``, or None.
        candidates: all that were found, by key.
        standing: ``agreed`` where another witness says the same.
        refuted: what the stored counter claims, where it is not the run's step.
        refuted_by: who contradicts it.
        unset: key of a counter of -1.
        starts_at: its value before the first update, where counts show it.
        unproven: counters that may be the step.
    """

    value: int | None = None
    key: str | None = None
    source: Literal["own", "optimizer", "graph", "run_record"] | None = None
    candidates: Mapping[str, int] = field(default_factory=dict)
    standing: Standing = "unknown"
    refuted: Witness | None = None
    refuted_by: Witness | None = None
    unset: str | None = None
    starts_at: int = 0
    unproven: tuple[Witness, ...] = ()


@dataclass(frozen=True, slots=True)
class IteratorFact:
    """One iterator state that belongs to the checkpoint.

    Attributes:
        key: checkpoint key.
        source_file: the bundle it lies in, where that is another than the model's.
        tree: its stages; None where it could not be decoded (``error`` says why).
        reading: its position on its own.
        proofs: what is known of the order of its shuffles.
        agreement: how it stands to the step counter and the other witnesses.
    """

    key: str
    source_file: str = ""
    nbytes: int = 0
    tree: IteratorTree | None = None
    reading: Reading | None = None
    proofs: tuple[SeedProof, ...] = ()
    agreement: Agreement = Agreement("unknown")
    error: str | None = None

    @property
    def name(self) -> str:
        """Its path in the program, without the attribute it is stored as."""
        return self.key.partition("/.ATTRIBUTES/")[0]

    @property
    def exhausted(self) -> bool:
        """The next request raises the end of the data."""
        return self.reading is not None and self.reading.exhausted

    def stages(self) -> Iterator[Stage]:
        """All stages, the one nearest the trainer first."""
        if self.tree is not None and self.tree.root is not None:
            yield from self.tree.root.walk()


@dataclass(frozen=True, slots=True)
class LayerFact:
    """Layers that may draw random numbers or keep a state that no variable shows.

    Attributes:
        without_variables: activations, Flatten, perhaps Dropout.
        may_draw: with variables, and a part or a kind that may drop units or keep a state.
    """

    without_variables: tuple[str, ...] = ()
    may_draw: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WeightFact:
    """Which weights are trained, and by what.

    Attributes:
        without_slots: keys of weights that have no slots where others have some; statistics aside.
        changed: those of them that differ in a neighbour of another step.
        changed_in: name of that neighbour.
        owners_missing: names of variables that are not stored although slots of theirs are.
        elsewhere: a file beside that holds the weights in another format.
    """

    without_slots: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    changed_in: str | None = None
    owners_missing: tuple[str, ...] = ()
    elsewhere: str | None = None


_EMPTY = Checkpoint("", "tensor_bundle", "object_based", {}, 0, (), 0, None, None, None, None)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one checkpoint before it is judged.

    Attributes:
        absent: what is named and not stored.
        neighbours: other checkpoints of the directory, as far as they are heard.
        other_hosts: names of the iterator checkpoints of all hosts, where this is one of them.
        momentum: an optimizer has a momentum that is not zero.
        adam_without_powers: slots of TF1's Adam are stored without its powers.
        graph_state_lost: (name, op) of what training reads and changes and nobody stores.
        unsaved_of_graph: other variables of the graph that are not stored, by what they are.
        epoch_end: the epoch at whose end this was saved, where each has an iterator of its own and
            none is stored.
        order_is_fixed: each epoch comes in the same order; None where that is not known.
        recorded: where the recorder counted the data to stand.
        hints: sizes and seeds that are given, stored in a graph, or recorded.
        user_hints: those that the user gave.
    """

    location: Location = Location("ckpt", "tensor_bundle", "", None)
    checkpoint: Checkpoint = _EMPTY
    inventory: Inventory = Inventory((), ())
    damage: tuple[Damage, ...] = ()
    absent: tuple[MissingKey, ...] = ()
    checksums_read: bool = True
    meta: MetaGraph | None = None
    meta_problem: str | None = None
    run_record: RunRecord | None = None
    record_problem: str | None = None
    framework: Framework = "checkpoint"
    feeding: Feeding = "loop"
    step: StepFact = StepFact()
    updates: UpdateFact = UpdateFact()
    counters: Mapping[str, int] = field(default_factory=dict)
    iterators: tuple[IteratorFact, ...] = ()
    training: IteratorFact | None = None
    partners: tuple[Partner, ...] = ()
    partner_of_other_step: IteratorFact | None = None
    unfinished_input: tuple[str, str] | None = None
    data_index: tuple[str, int] | None = None
    layers: LayerFact = LayerFact()
    weights: WeightFact = WeightFact()
    neighbours: tuple[Neighbour, ...] = ()
    other_hosts: tuple[str, ...] = ()
    momentum: bool = False
    adam_without_powers: bool = False
    graph_state_lost: tuple[tuple[str, str], ...] = ()
    unsaved_of_graph: Mapping[Component, tuple[str, ...]] = field(default_factory=dict)
    epoch_end: int | None = None
    order_is_fixed: bool | None = None
    recorded: RecordedPlace | None = None
    hints: Hints = Hints()
    user_hints: Hints = Hints()
    position: Position = Position()

    @property
    def name(self) -> str:
        """The checkpoint as a person calls it."""
        return os.path.basename(self.location.prefix)

    @property
    def pipeline(self) -> GraphPipeline | None:
        """The training pipeline as a stored graph or a run record has it."""
        if self.meta is not None and self.meta.pipeline is not None:
            return self.meta.pipeline
        return self.run_record.pipeline if self.run_record is not None else None

    @property
    def has_unseeded_shuffle(self) -> bool:
        """The graph or the run record shows a shuffle of the training data without a seed."""
        if self.meta is not None and self.meta.has_unseeded_shuffle:
            return True
        pipeline = self.pipeline
        if pipeline is None or not any(op.startswith("Shuffle") for op in pipeline.ops):
            return False
        return (0, 0) in pipeline.seeds

    @property
    def is_damaged(self) -> bool:
        """Restoring would raise."""
        return any(damage.fatal for damage in self.damage)

    @property
    def has_weights(self) -> bool:
        """There is something that training could go on from."""
        return bool(self.inventory.of_role("weight", "ema"))

    @property
    def at_start(self) -> bool:
        """The run's own counter is 0, and nobody says that anything was trained."""
        return self.step.value == 0 and self.step.source in ("own", "graph", "run_record")

    @property
    def candidates(self) -> tuple[IteratorFact, ...]:
        """Iterators that may feed the training: without exhausted ones, and without those that
        witnesses show to be others, where any are left.
        """
        possible = tuple(it for it in self.iterators if it.agreement.not_training is None)
        possible = possible or self.iterators
        return tuple(it for it in possible if not it.exhausted) or possible

    @property
    def judged(self) -> tuple[IteratorFact, ...]:
        """The iterators whose quality decides: the training one, or all that might be it."""
        return (self.training,) if self.training is not None else self.candidates

    @property
    def running(self) -> tuple[IteratorFact, ...]:
        """Those of the judged ones that still have data to give."""
        return tuple(iterator for iterator in self.judged if not iterator.exhausted)

    def stages(self) -> Iterator[Stage]:
        """All stages of the judged iterators."""
        for iterator in self.judged:
            yield from iterator.stages()
