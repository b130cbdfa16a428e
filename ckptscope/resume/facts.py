"""Everything the rules ask about, computed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ckptscope.checkpoint.discover import Location, Partner, partners_of, unfinished_input
from ckptscope.checkpoint.layers import layers_without_variables
from ckptscope.checkpoint.meta_graph import GraphPipeline, MetaGraph, read_meta_graph
from ckptscope.checkpoint.model import Checkpoint, Damage, TensorEntry
from ckptscope.checkpoint.roles import Inventory, take_inventory
from ckptscope.checkpoint.run_record import RunRecord, read_run_record
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import VARIANT
from ckptscope.iterator.position import Hints, Position, Reading, read_position
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.seeds import SeedProof, prove
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import IteratorTree, build_tree
from ckptscope.resume.agreement import Agreement, compare, resume_position

Framework = Literal["estimator", "saver", "saved_model", "keras_backup", "keras", "checkpoint"]

# Checksums of all tensors are verified without being asked up to this many bytes of data.
CHECKSUM_LIMIT_NBYTES = 1 << 30
# Up to so many bytes every buffered element is decoded, too, although no number needs it.
DECODED_NBYTES = 1 << 23
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
class StepFact:
    """The run's step counter.

    Attributes:
        value: None where there is none, or where candidates differ.
        key: where it is stored.
        source: ``own`` (the run's counter), ``optimizer`` (iterations stand in for it), or None.
        candidates: all that were found, by key.
    """

    value: int | None
    key: str | None
    source: Literal["own", "optimizer"] | None
    candidates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class IteratorFact:
    """One iterator state that belongs to the checkpoint.

    Attributes:
        key: checkpoint key.
        source_file: the bundle it lies in, where that is another than the model's.
        tree: its stages; None where it could not be decoded (``error`` says why).
        reading: its position on its own.
        proofs: what is known of the order of its shuffles.
        agreement: how it stands to the step counter.
    """

    key: str
    source_file: str
    nbytes: int
    tree: IteratorTree | None
    reading: Reading | None
    proofs: tuple[SeedProof, ...]
    agreement: Agreement
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one checkpoint before it is judged."""

    location: Location
    checkpoint: Checkpoint
    inventory: Inventory
    damage: tuple[Damage, ...]
    checksums_read: bool
    meta: MetaGraph | None
    meta_problem: str | None
    run_record: RunRecord | None
    record_problem: str | None
    framework: Framework
    step: StepFact
    counters: Mapping[str, int]
    iterators: tuple[IteratorFact, ...]
    training: IteratorFact | None
    partners: tuple[Partner, ...]
    unfinished_input: tuple[str, str] | None
    data_index: tuple[str, int] | None
    plain_layers: tuple[str, ...]
    hints: Hints
    user_hints: Hints
    position: Position

    @property
    def counted_otherwise(self) -> int | None:
        """Batches that the recorder had counted, where they are not those of the step: the run lost
        its place before.

        Which examples it has seen then does not follow from the step.
        """
        counted = self.run_record.counted_batches if self.run_record is not None else None
        step, size, epoch_size = self.step.value, self.hints.batch_size, self.hints.epoch_size
        if counted is None or step is None or counted == step:
            return None
        # Where each epoch has an iterator of its own, the count begins anew with it.
        per_pass = -(-epoch_size // size) if size and epoch_size else None
        return (
            None
            if per_pass is not None and counted <= per_pass and (step - counted) % per_pass == 0
            else counted
        )

    @property
    def pipeline(self) -> GraphPipeline | None:
        """The training pipeline as a stored graph or a run record has it."""
        if self.meta is not None and self.meta.pipeline is not None:
            return self.meta.pipeline
        return self.run_record.pipeline if self.run_record is not None else None

    @property
    def is_damaged(self) -> bool:
        """Restoring would raise."""
        return any(damage.fatal for damage in self.damage)

    @property
    def candidates(self) -> tuple[IteratorFact, ...]:
        """Iterators that may feed the training: all but exhausted ones beside others."""
        open_ones = tuple(
            it for it in self.iterators if it.reading is None or not it.reading.exhausted
        )
        return open_ones or self.iterators


def gather(
    location: Location,
    checkpoint: Checkpoint,
    hints: Hints,
    *,
    verify: bool = False,
    checksum_limit_nbytes: int = CHECKSUM_LIMIT_NBYTES,
    progress: Callable[[int], None] | None = None,
) -> Facts:
    """Compute all facts of an open checkpoint. Reads files, runs nothing, changes nothing.

    Args:
        verify: read the checksums of all tensors, whatever their size.
        checksum_limit_nbytes: up to this size they are read without being asked.
    """
    meta, meta_problem = read_meta_graph(location.prefix)
    record, record_problem = read_run_record(location.prefix)
    inventory = take_inventory(checkpoint, meta)
    data_nbytes = sum(entry.nbytes for entry in checkpoint.entries.values())
    checksums = verify or data_nbytes <= checksum_limit_nbytes
    damage = list(checkpoint.reader.check(checkpoint.entries, checksums, progress))
    if checkpoint.graph_problem is not None and not any(
        item.key == checkpoint.graph_problem.key for item in damage
    ):
        damage.append(checkpoint.graph_problem)
    counters = _counters(checkpoint, inventory, damage)
    step = _step(checkpoint, inventory, meta, counters)
    partners = tuple(partners_of(location))
    filled = _with_record(_with_graph(hints, meta.pipeline if meta is not None else None), record)
    files = DataFiles(hints.data_root)
    broken = {item.key for item in damage if item.fatal}
    iterators = [
        _read_iterator(checkpoint, variable.entry, location.prefix, filled, files, step, broken)
        for variable in inventory.of_role("iterator")
    ]
    for partner in partners:
        if partner.is_complete and partner.step == location.number:
            iterators.extend(_partner_iterators(partner, filled, files, step, damage))
    training = _training(iterators)
    facts = Facts(
        location=location,
        checkpoint=checkpoint,
        inventory=inventory,
        damage=tuple(damage),
        checksums_read=checksums,
        meta=meta,
        meta_problem=meta_problem,
        run_record=record,
        record_problem=record_problem,
        framework=_framework(location, checkpoint, meta, partners, counters),
        step=step,
        counters=counters,
        iterators=tuple(iterators),
        training=training,
        partners=partners,
        unfinished_input=unfinished_input(location),
        data_index=_data_index(checkpoint, inventory, counters),
        plain_layers=tuple(layers_without_variables(checkpoint.graph))
        if checkpoint.graph is not None
        else (),
        hints=filled,
        user_hints=hints,
        position=Position(),
    )
    return replace(
        facts,
        position=resume_position(
            step=step.value,
            training=None if training is None else (training.reading, training.agreement),
            iterators=len(facts.iterators),
            candidates=len(facts.candidates),
            damaged=facts.is_damaged,
            data_index=facts.data_index,
            starts_at_zero=step.value == 0 and step.source == "own",
            hints=filled,
        ),
    )


def _with_record(hints: Hints, record: RunRecord | None) -> Hints:
    """What neither the user nor a stored graph say, from the run record."""
    if record is None:
        return hints
    found = _with_graph(hints, record.pipeline) if not hints.op_seeds else hints
    return replace(
        found,
        batch_size=found.batch_size if found.batch_size is not None else record.batch_size,
        epoch_size=found.epoch_size if found.epoch_size is not None else record.epoch_size,
    )


def _with_graph(hints: Hints, pipeline: GraphPipeline | None) -> Hints:
    """What the user did not say, from the stored graph."""
    if pipeline is None:
        return hints
    epoch_size = pipeline.epoch_size
    if (
        pipeline.batch_size
        and epoch_size
        and pipeline.drops_remainder
        and epoch_size % pipeline.batch_size
    ):
        epoch_size = None  # where the repeat lies decides
    return replace(
        hints,
        batch_size=hints.batch_size if hints.batch_size is not None else pipeline.batch_size,
        epoch_size=hints.epoch_size if hints.epoch_size is not None else epoch_size,
        op_seeds=pipeline.seeds,
        range_origin=pipeline.range_from_zero and "RangeDataset" in pipeline.ops,
    )


def _counters(checkpoint: Checkpoint, inventory: Inventory, damage: list[Damage]) -> dict[str, int]:
    """Integer scalars by the last part of their object path or name (the whole path where two
    share one).
    """
    broken = {item.key for item in damage if item.fatal}
    found: dict[str, int] = {}
    for variable in inventory.of_role("counter", "bookkeeping"):
        if not variable.entry.dtype.is_integer or variable.entry.shape or variable.key in broken:
            continue
        try:
            (value,) = checkpoint.values(variable.key, 1)
        except (CkptscopeError, ValueError):
            continue
        found[variable.object_path or variable.key] = int(value)
    return found


def _step(
    checkpoint: Checkpoint,
    inventory: Inventory,
    meta: MetaGraph | None,
    counters: Mapping[str, int],
) -> StepFact:
    keys = {
        (variable.object_path or variable.key): variable.key
        for variable in inventory.of_role("counter")
    }
    found: dict[str, int] = {}
    if meta is not None and meta.global_step in counters:
        return StepFact(
            counters[meta.global_step or ""],
            meta.global_step,
            "own",
            {meta.global_step or "": counters[meta.global_step or ""]},
        )
    for name in STEP_NAMES:
        if name in counters and "/" not in name:
            found[keys.get(name, name)] = counters[name]
    if found:
        values = set(found.values())
        value = values.pop() if len(values) == 1 else None
        return StepFact(value, next(iter(found)), "own", found)
    iterations = {
        optimizer.iterations: counters[path]
        for optimizer in inventory.optimizers
        if optimizer.iterations is not None
        and (path := _path_of(inventory, optimizer.iterations)) in counters
    }
    values = set(iterations.values())
    # A loss-scaling wrapper counts as the optimizer inside it does, or not at all.
    wrapped = {optimizer.path for optimizer in inventory.optimizers if optimizer.wraps}
    if len(values) > 1 and wrapped:
        values -= (
            {counters.get(f"{path}/_iterations", -1) for path in wrapped}
            if len(values) > 1
            else set()
        )
    if len(values) == 1:
        return StepFact(values.pop(), next(iter(iterations)), "optimizer", iterations)
    return StepFact(None, None, "optimizer" if iterations else None, iterations)


def _path_of(inventory: Inventory, key: str) -> str:
    return next(
        (
            variable.object_path or variable.key
            for variable in inventory.variables
            if variable.key == key
        ),
        key,
    )


def _data_index(
    checkpoint: Checkpoint, inventory: Inventory, counters: Mapping[str, int]
) -> tuple[str, int] | None:
    del checkpoint, inventory
    for name in INDEX_NAMES:
        if name in counters:
            return name, counters[name]
    return None


def _read_iterator(
    checkpoint: Checkpoint,
    entry: TensorEntry,
    file: str,
    hints: Hints,
    files: DataFiles,
    step: StepFact,
    broken: set[str | None],
) -> IteratorFact:
    """Decode one iterator state; what cannot be decoded becomes an entry with its error."""
    if entry.key in broken:
        return IteratorFact(
            entry.key,
            file,
            entry.nbytes,
            None,
            None,
            (),
            Agreement("unknown"),
            "its stored bytes are damaged",
        )
    try:
        records = split_records(checkpoint.reader.read_bytes(entry), entry.num_elements, entry.key)
        if entry.nbytes <= DECODED_NBYTES:
            records.decode_all()
        tree = build_tree(records)
        reading = read_position(tree, hints, files)
        proofs = tuple(prove(tree, hints))
    except CkptscopeError as error:
        return IteratorFact(
            entry.key, file, entry.nbytes, None, None, (), Agreement("unknown"), str(error)
        )
    except RecursionError:
        return IteratorFact(
            entry.key,
            file,
            entry.nbytes,
            None,
            None,
            (),
            Agreement("unknown"),
            "its stages are nested too deeply",
        )
    return IteratorFact(
        entry.key,
        file,
        entry.nbytes,
        tree,
        reading,
        proofs,
        compare(reading, tree, step.value, step.source, hints),
    )


def _partner_iterators(
    partner: Partner, hints: Hints, files: DataFiles, step: StepFact, damage: list[Damage]
) -> list[IteratorFact]:
    """Iterator states of an ``input.ckpt-N`` beside the model; its damage counts as the
    checkpoint's.
    """
    location = Location(partner.prefix, "tensor_bundle", "", partner.step)
    try:
        with location.open() as checkpoint:
            found = checkpoint.reader.check(checkpoint.entries, True, None)
            damage.extend(found)
            broken = {item.key for item in found if item.fatal}
            variants = [entry for entry in checkpoint.entries.values() if entry.dtype is VARIANT]
            return [
                _read_iterator(checkpoint, entry, partner.prefix, hints, files, step, broken)
                for entry in variants
            ]
    except CkptscopeError as error:
        damage.append(Damage("index", f"{partner.prefix}.index", None, None, str(error)))
        return []


def _training(iterators: list[IteratorFact]) -> IteratorFact | None:
    """The iterator that feeds the training: the only one, or the only unexhausted one in step
    with the counter.
    """
    if len(iterators) == 1:
        return iterators[0]
    open_ones = [it for it in iterators if it.reading is None or not it.reading.exhausted]
    if len(open_ones) == 1 and open_ones[0].agreement.kind not in (
        "ahead",
        "behind",
        "contradicts",
    ):
        return open_ones[0]
    in_step = [it for it in open_ones if it.agreement.kind == "agrees"]
    return in_step[0] if len(in_step) == 1 else None


def _framework(
    location: Location,
    checkpoint: Checkpoint,
    meta: MetaGraph | None,
    partners: tuple[Partner, ...],
    counters: Mapping[str, int],
) -> Framework:
    if location.is_saved_model:
        return "saved_model"
    if checkpoint.graph is None:
        directory = os.path.dirname(location.prefix) or "."
        estimator = (
            partners
            or (meta is not None and meta.is_estimator)
            or os.path.exists(os.path.join(directory, "graph.pbtxt"))
        )
        return "estimator" if estimator else "saver"
    if "ckpt_saved_epoch" in counters:
        return "keras_backup"
    names = {name for name, _ in checkpoint.graph.root.children}
    return (
        "keras"
        if names & {"_functional", "_operations", "_layers", "layer-0", "keras_api"}
        or any(name.startswith("layer_with_weights-") for name in names)
        else "checkpoint"
    )
