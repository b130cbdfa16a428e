"""From an open checkpoint to the facts that the rules ask for. Reads files, runs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ckptscope.checkpoint.absence import missing_keys
from ckptscope.checkpoint.discover import Location, Partner, partners_of, unfinished_input
from ckptscope.checkpoint.drawing_layers import layers_that_may_draw
from ckptscope.checkpoint.layers import layers_without_variables
from ckptscope.checkpoint.meta_graph import GraphPipeline, MetaGraph, read_meta_graph
from ckptscope.checkpoint.model import Checkpoint, Damage, TensorEntry
from ckptscope.checkpoint.roles import Inventory, take_inventory
from ckptscope.checkpoint.run_record import RunRecord, read_run_record
from ckptscope.dataset_ops import of_node
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import VARIANT
from ckptscope.iterator.position import Hints, Position, Reading, read_position
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.seeds import SeedProof, prove
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import IteratorTree, build_tree
from ckptscope.resume import beside
from ckptscope.resume.agreement import Agreement, resume_position
from ckptscope.resume.alignment import Witnesses, align
from ckptscope.resume.counting import StepSources, counter_values, step_of, updates_of
from ckptscope.resume.facts import (
    CHECKSUM_LIMIT_NBYTES,
    INDEX_NAMES,
    Facts,
    Feeding,
    Framework,
    IteratorFact,
    LayerFact,
    StepFact,
    UpdateFact,
)
from ckptscope.resume.neighbours import Asked, Neighbour, Neighbourhood
from ckptscope.resume.recorded import RecordedPlace, believed, keeps_order, recorded_place
from ckptscope.resume.trained import (
    adam_without_powers,
    graph_state_lost,
    momentum_of,
    unsaved_of_graph,
    weights_of,
)

# Up to so many bytes every buffered element is decoded, too, although no number needs it.
DECODED_NBYTES = 1 << 23


def gather(
    location: Location,
    checkpoint: Checkpoint,
    hints: Hints,
    *,
    verify: bool = False,
    checksum_limit_nbytes: int = CHECKSUM_LIMIT_NBYTES,
    progress: Callable[[int], None] | None = None,
    neighbourhood: Neighbourhood | None = None,
) -> Facts:
    """Compute all facts of an open checkpoint.

    Args:
        verify: read the checksums of all tensors, whatever their size.
        checksum_limit_nbytes: up to this size they are read without being asked.
        neighbourhood: the directory's checkpoints, where several of them are judged.
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
    partners = tuple(partners_of(location))
    own = [p for p in partners if p.is_complete and p.step == location.number]
    filled = _with_record(_with_graph(hints, meta.pipeline if meta is not None else None), record)
    decoder = _Decoder(filled, DataFiles(hints.data_root, filled.files))
    raw = decoder.all_of(location, checkpoint, inventory, own, damage)
    broken = frozenset(item.key for item in damage if item.fatal)
    counters = counter_values(checkpoint, inventory.of_role("counter", "bookkeeping"), broken)
    updates = updates_of(checkpoint, inventory, counters, broken)
    keys = {v.object_path or v.key: v.key for v in inventory.of_role("counter", "bookkeeping")}
    neighbours = (neighbourhood or Neighbourhood()).of(
        location, _asked(inventory, tuple(keys.values()), raw, filled)
    )
    sources = StepSources(counters, keys, meta, neighbours, location.number, record)
    step = step_of(sources, updates)
    place = believed(recorded_place(record), record, step.key, neighbours)
    witnesses = _witnesses(step, updates, place, record, meta, neighbours)
    iterators = tuple(item.aligned(witnesses, filled) for item in raw)
    facts = Facts(
        location=location,
        checkpoint=checkpoint,
        inventory=inventory,
        damage=tuple(damage),
        absent=missing_keys(
            checkpoint,
            saved=(meta.saved or ()) if meta is not None else (),
            partners=[partner.prefix for partner in own],
        ),
        checksums_read=checksums,
        meta=meta,
        meta_problem=meta_problem,
        run_record=record,
        record_problem=record_problem,
        framework=_framework(location, checkpoint, meta, partners, counters),
        step=step,
        updates=updates,
        counters=counters,
        iterators=iterators,
        training=_training(iterators),
        partners=partners,
        unfinished_input=unfinished_input(location),
        data_index=_data_index(counters),
        layers=_layers(checkpoint),
        weights=weights_of(checkpoint, inventory, meta, neighbours, location),
        neighbours=neighbours,
        other_hosts=beside.other_hosts(location),
        momentum=momentum_of(checkpoint, inventory, broken),
        adam_without_powers=adam_without_powers(checkpoint, inventory),
        graph_state_lost=graph_state_lost(checkpoint, meta),
        unsaved_of_graph=unsaved_of_graph(checkpoint, inventory, meta, damage),
        recorded=place,
        hints=filled,
        user_hints=hints,
    )
    facts = replace(facts, feeding=_feeding(facts), order_is_fixed=_order_is_fixed(facts))
    facts = replace(facts, epoch_end=_epoch_end(facts))
    facts = replace(facts, partner_of_other_step=_other_partner(facts, decoder))
    return replace(facts, position=_position(facts))


def _order_is_fixed(facts: Facts) -> bool | None:
    """Whether each epoch comes in the same order; None where nothing shows it."""
    if facts.recorded is not None and facts.recorded.order_is_fixed is not None:
        return facts.recorded.order_is_fixed
    if facts.pipeline is not None:
        return keeps_order(facts.pipeline)
    if facts.training is not None and facts.training.proofs:
        return False
    return None


def _epoch_end(facts: Facts) -> int | None:
    """The epoch at whose end this was saved, where the program makes an iterator for each."""
    if facts.iterators or facts.partners or facts.data_index is not None or facts.at_start:
        return None
    place = facts.recorded
    if place is not None:
        at_end = place.iterator_per_epoch and place.at_epoch_end
        return place.epoch if at_end else None
    step, size, epoch_size = facts.step.value, facts.hints.batch_size, facts.hints.epoch_size
    if facts.feeding != "fit" or not step or not size or not epoch_size:
        return None
    epoch, rest = divmod(step, -(-epoch_size // size))
    return epoch - 1 if not rest else None


def _position(facts: Facts) -> Position:
    training = facts.training
    return resume_position(
        step=facts.step.value,
        training=None if training is None else (training.reading, training.agreement),
        iterators=len(facts.iterators),
        candidates=len(facts.candidates),
        damaged=facts.is_damaged,
        data_index=facts.data_index,
        starts_at_zero=facts.at_start,
        hints=facts.hints,
        recorded=facts.recorded,
        in_step=sum(it.agreement.kind == "agrees" for it in facts.candidates),
        epoch_end=facts.epoch_end,
    )


def _with_record(hints: Hints, record: RunRecord | None) -> Hints:
    """What neither the user nor a stored graph say, from the run record."""
    if record is None:
        return hints
    found = _with_graph(hints, record.pipeline) if not hints.op_seeds else hints
    return replace(
        found,
        files=_whole_pass(record),
        batch_size=found.batch_size if found.batch_size is not None else record.batch_size,
        epoch_size=found.epoch_size if found.epoch_size is not None else record.epoch_size,
    )


def _whole_pass(record: RunRecord) -> tuple[str, ...]:
    """The data files of a pass in reading order, where the record shows that it reads them so."""
    ops = record.pipeline.ops if record.pipeline is not None else ()
    rows = [of_node(op) for op in ops]
    in_turn = bool(rows) and not any(
        row is None or row.draws or row.interleaves or row.drops or row.joins for row in rows
    )
    return tuple(file.path for file in record.files) if in_turn else ()


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


def _asked(
    inventory: Inventory, counters: tuple[str, ...], raw: list[_Decoded], hints: Hints
) -> Asked:
    weights: Mapping[str, TensorEntry] = {
        variable.key: variable.entry for variable in inventory.of_role("weight", "ema")
    }
    return Asked(counters, weights, tuple(item.key for item in raw), hints)


def _witnesses(
    step: StepFact,
    updates: UpdateFact,
    place: RecordedPlace | None,
    record: RunRecord | None,
    meta: MetaGraph | None,
    neighbours: tuple[Neighbour, ...],
) -> Witnesses:
    counted = [*updates.counts, *((updates.powers,) if updates.powers is not None else ())]
    return Witnesses(
        step=step.value,
        step_key=step.key,
        step_source=step.source,
        updates=tuple((f"{w.name} = {w.value:,}", w.value) for w in counted if w.value),
        recorded=None if place is None else place.batches,
        staging=meta.staging if meta is not None else (),
        batch_size_changed=record is not None
        and any(n.recorded_sizes and n.recorded_sizes[0] != record.batch_size for n in neighbours),
        neighbours=neighbours,
    )


def _data_index(counters: Mapping[str, int]) -> tuple[str, int] | None:
    return next(((name, counters[name]) for name in INDEX_NAMES if name in counters), None)


def _layers(checkpoint: Checkpoint) -> LayerFact:
    if checkpoint.graph is None:
        return LayerFact()
    silent = tuple(layers_without_variables(checkpoint.graph))
    drawing = layers_that_may_draw(checkpoint.graph)
    # What holds a variable further inside is told as that.
    silent = tuple(
        path for path in silent if not any(item.startswith(f"{path}/") for item in drawing)
    )
    return LayerFact(silent, drawing)


# ------------------------------------------------------------ iterators


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One iterator state before it is compared with anything."""

    key: str
    file: str
    nbytes: int
    tree: IteratorTree | None = None
    reading: Reading | None = None
    proofs: tuple[SeedProof, ...] = ()
    error: str | None = None

    def aligned(self, witnesses: Witnesses, hints: Hints) -> IteratorFact:
        """Compared with the other witnesses."""
        agreement = Agreement("unknown")
        if self.reading is not None:
            agreement = align(self.key, self.reading, witnesses, hints)
        return IteratorFact(
            self.key,
            self.file,
            self.nbytes,
            self.tree,
            self.reading,
            self.proofs,
            agreement,
            self.error,
        )


@dataclass(frozen=True, slots=True)
class _Decoder:
    """Decodes iterator states; what cannot be decoded becomes an entry with its error."""

    hints: Hints
    files: DataFiles

    def all_of(
        self,
        location: Location,
        checkpoint: Checkpoint,
        inventory: Inventory,
        partners: list[Partner],
        damage: list[Damage],
    ) -> list[_Decoded]:
        """Iterators of the checkpoint and of the input checkpoints of its step.

        Damage of the latter counts as the checkpoint's.
        """
        broken = {item.key for item in damage if item.fatal}
        found = [
            self.one(checkpoint, variable.entry, location.prefix, broken)
            for variable in inventory.of_role("iterator")
        ]
        for partner in partners:
            found.extend(self.of_partner(partner, damage))
        return found

    def of_partner(self, partner: Partner, damage: list[Damage]) -> list[_Decoded]:
        """Iterator states of an ``input.ckpt-N`` beside the model."""
        location = Location(partner.prefix, "tensor_bundle", "", partner.step)
        try:
            with location.open() as checkpoint:
                found = checkpoint.reader.check(checkpoint.entries, True, None)
                damage.extend(found)
                broken = {item.key for item in found if item.fatal}
                return [
                    self.one(checkpoint, entry, partner.prefix, broken)
                    for entry in checkpoint.entries.values()
                    if entry.dtype is VARIANT
                ]
        except CkptscopeError as error:
            damage.append(Damage("index", f"{partner.prefix}.index", None, None, str(error)))
            return []

    def one(
        self, checkpoint: Checkpoint, entry: TensorEntry, file: str, broken: set[str | None]
    ) -> _Decoded:
        """Decode one state."""
        if entry.key in broken:
            return _Decoded(entry.key, file, entry.nbytes, error="its stored bytes are damaged")
        try:
            data = checkpoint.reader.read_bytes(entry)
            records = split_records(data, entry.num_elements, entry.key)
            if entry.nbytes <= DECODED_NBYTES:
                records.decode_all()
            tree = build_tree(records)
            reading = read_position(tree, self.hints, self.files)
            proofs = tuple(prove(tree, self.hints))
        except CkptscopeError as error:
            return _Decoded(entry.key, file, entry.nbytes, error=str(error))
        except RecursionError:
            why = "its stages are nested too deeply"
            return _Decoded(entry.key, file, entry.nbytes, error=why)
        return _Decoded(entry.key, file, entry.nbytes, tree, reading, proofs)


def _training(iterators: tuple[IteratorFact, ...]) -> IteratorFact | None:
    """The iterator that feeds the training: the only one, or the only unexhausted one in step."""
    if len(iterators) == 1:
        return iterators[0]
    others = [it for it in iterators if it.agreement.not_training is not None]
    running = [it for it in iterators if not it.exhausted and it not in others]
    out_of_step = ("ahead", "behind", "contradicts")
    if len(running) == 1 and (others or running[0].agreement.kind not in out_of_step):
        return running[0]
    in_step = [it for it in running if it.agreement.in_step]
    return in_step[0] if len(in_step) == 1 else None


def _other_partner(facts: Facts, decoder: _Decoder) -> IteratorFact | None:
    """The iterator of the nearest input checkpoint, where none of this step is there."""
    number = facts.location.number
    if facts.iterators or number is None:
        return None
    whole = [partner for partner in facts.partners if partner.is_complete]
    if not whole:
        return None
    nearest = min(whole, key=lambda partner: (abs(partner.step - number), partner.step))
    found = decoder.of_partner(nearest, [])
    witnesses = Witnesses(step=nearest.step, step_source="own")
    return found[0].aligned(witnesses, facts.hints) if len(found) == 1 else None


# ------------------------------------------------------------ the program


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


_FEEDING_OF_GRAPH: Mapping[str, Feeding] = {
    "queue": "queue",
    "placeholder": "placeholder",
    "generator": "generator",
}


def _feeding(facts: Facts) -> Feeding:
    """How the program gets its data, as far as the files show it."""
    record, meta = facts.run_record, facts.meta
    if facts.framework in ("keras", "keras_backup") or (record is not None and record.fed == "fit"):
        return "fit"
    by_graph = _FEEDING_OF_GRAPH.get(meta.feeding or "") if meta is not None else None
    if by_graph is not None:
        return by_graph
    pipeline = facts.pipeline
    if pipeline is not None and any(op.startswith("GeneratorDataset") for op in pipeline.ops):
        return "generator"
    if facts.framework == "estimator":
        return "estimator"
    return "iterator" if facts.framework == "saver" else "loop"
