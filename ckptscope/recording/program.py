"""What TensorFlow knows of a training program's data and model while it runs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ckptscope.checkpoint.run_record import fingerprint_of
from ckptscope.dataset_ops import DatasetOp, of_node
from ckptscope.iterator.position import Hints
from ckptscope.iterator.records import DataFiles
from ckptscope.recording.model import SourceFile

if TYPE_CHECKING:
    from ckptscope.checkpoint.meta_graph import GraphPipeline
    from ckptscope.recording.live import Layers

# So many bytes of data files are walked to count their records.
_COUNTED_NBYTES = 1 << 30
# Stages above a skip that hand each element on.
_HANDS_ON = frozenset(("Prefetch", "Map", "Options", "Model", "Optimize", "AssertCardinality"))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the data of a process begins, before anything was taken from its iterator.

    Attributes:
        batches: of the stream that a ``skip`` behind the batch leaves out.
        examples: that a ``skip`` before it, or the beginning of a range, leaves out.
        in_state: the iterator's state counts them along: a range tells its next number.
    """

    batches: int = 0
    examples: int = 0
    in_state: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """What TensorFlow knows of a training program's data, and what nobody else writes down.

    Attributes:
        pipeline: None where there is no dataset, or its graph cannot be read.
        files: in reading order, as far as the graph names them.
        layers: None where no model was given.
        origin: what the pipeline leaves out at its beginning.
        reshuffles: of each shuffle: whether each pass has an order of its own.
        told_order: of elements, where the program says so itself, as ``fit`` does of arrays.
    """

    pipeline: GraphPipeline | None
    files: tuple[SourceFile, ...]
    layers: Layers | None
    batch_size: int | None
    epoch_size: int | None
    origin: Origin = Origin()
    reshuffles: tuple[bool, ...] = ()
    told_order: str | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Stages, nearest the trainer first: ``Batch``, ``Shuffle``, without suffixes and
        versions.
        """
        return (
            tuple(op.partition("Dataset")[0] for op in self.pipeline.ops)
            if self.pipeline is not None
            else ()
        )

    @property
    def repeats(self) -> bool | None:
        """One iterator goes on over its passes; None where the stages are not known."""
        return None if self.pipeline is None else any("Repeat" in kind for kind in self.kinds)

    @property
    def stages(self) -> tuple[DatasetOp | None, ...]:
        """Rows of the table of dataset ops, nearest the trainer first; None for unknown ones."""
        return tuple(map(of_node, self.pipeline.ops)) if self.pipeline is not None else ()

    @property
    def reads_whole_files(self) -> bool:
        """A pass is all records of all files, in whatever order."""
        found = self.stages
        return (
            bool(self.files)
            and all(row is not None and _keeps_number(row) for row in found)
            and sum(row is not None and row.locates == "element" for row in found) <= 1
            and sum(row is not None and row.nests for row in found) <= 1
            and len({row.title for row in found if row is not None and _finds_records(row)}) == 1
        )

    @property
    def order(self) -> str | None:
        """Whether elements come in the order of the source."""
        if self.told_order is not None:
            return self.told_order
        found = [row for row in self.stages if row is not None]
        if not found:
            return None
        if any(row.draws for row in found):
            return "shuffled"
        if any(row.interleaves for row in found):
            return "interleaved"
        if self.pipeline is not None and self.pipeline.nondeterministic:
            return None
        if any(row.nests for row in found) and not any(map(_finds_records, found)):
            return None
        is_known = len(found) == len(self.stages)
        return "fixed" if is_known and all(map(_keeps_order, found)) else None

    @property
    def order_depends_on_epoch(self) -> bool | None:
        """Whether another pass comes in another order; None where that cannot be told."""
        pipeline = self.pipeline
        if self.told_order is not None:
            return False if self.told_order == "fixed" else None
        if pipeline is None or pipeline.python_ops or pipeline.stateful_ops:
            return None
        num_shuffles = sum(kind.startswith("Shuffle") for kind in self.kinds)
        if num_shuffles:
            # One that was not found along the stages may lie in a function, made anew each time.
            known = len(self.reshuffles) == num_shuffles
            return any(self.reshuffles) if known or any(self.reshuffles) else None
        if self.order in ("fixed", "interleaved") and not pipeline.nondeterministic:
            return None if pipeline.random_ops else False
        return None

    @property
    def seeded(self) -> bool | None:
        """All that shuffles has a seed; None where nothing does, or that is not known."""
        if self.pipeline is None or not self.pipeline.seeds:
            return None
        return all(pair != (0, 0) for pair in self.pipeline.seeds)

    @property
    def deterministic(self) -> bool | None:
        """No stage hands over elements in the order in which they are ready."""
        return None if self.pipeline is None else not self.pipeline.nondeterministic

    @property
    def spans(self) -> bool:
        """Batches run across the end of a pass: the repeat lies below the batch."""
        rows = self.stages
        makes = (number for number, row in enumerate(rows) if row is not None and row.makes_batches)
        again = (number for number, row in enumerate(rows) if row is not None and row.repeats)
        batch, repeat = next(makes, None), next(again, None)
        return batch is not None and repeat is not None and repeat > batch

    @property
    def delivered(self) -> int | None:
        """Examples of a pass that reach the trainer: without the short batch at its end, where
        that is dropped.
        """
        size, batch = self.epoch_size, self.batch_size
        drops = self.pipeline is not None and self.pipeline.drops_remainder and not self.spans
        return size // batch * batch if drops and size and batch and size >= batch else size

    @property
    def steps_per_epoch(self) -> int | None:
        """Batches of a pass, where batches end with it."""
        size, batch = self.delivered, self.batch_size
        return None if self.spans or not size or not batch else -(-size // batch)

    @property
    def hints(self) -> Hints:
        """For decoding states of its iterators."""
        return Hints(
            self.batch_size,
            self.delivered,
            range_origin=bool(self.pipeline and self.pipeline.range_from_zero),
            files=tuple(file.path for file in self.files) if self.reads_whole_files else (),
        )

    def of_cut_passes(self) -> Program:
        """Where each epoch makes an iterator from it, each leaves the beginning out: a pass is what
        is left.
        """
        cut = self.origin.examples + self.origin.batches * (self.batch_size or 0)
        size = None if self.epoch_size is None else max(0, self.epoch_size - cut)
        return dataclasses.replace(self, origin=Origin(), epoch_size=size or None)

    def to_record(self) -> dict[str, Any]:
        """What a run record says of the program."""
        layers = self.layers
        return {
            "steps_per_epoch": self.steps_per_epoch,
            "order": self.order,
            "order_depends_on_epoch": self.order_depends_on_epoch,
            "deterministic": self.deterministic,
            "opaque_layers": [] if layers is None else list(layers.opaque),
            "num_layers": None if layers is None else layers.num_layers,
        }

    @property
    def random_layers(self) -> tuple[Mapping[str, str], ...] | None:
        """Name and class of layers that draw; None where no model was given."""
        return None if self.layers is None else self.layers.random


def _finds_records(row: DatasetOp) -> bool:
    return row.locates in ("record", "line")


def _keeps_order(row: DatasetOp) -> bool:
    """Which example comes next follows from their number alone."""
    return row.keeps_order and row.drops != "value" and row.joins in ("", "together")


def _keeps_number(row: DatasetOp) -> bool:
    """Between files and trainer it leaves the number of records as it is; a flat_map or interleave
    over file names opens them in turn, a shuffle only changes their order.
    """
    if row.is_source:
        return _finds_records(row) or row.locates == "element"
    changes_order_only = row.draws or row.interleaves
    return (row.keeps_order or changes_order_only) and not row.drops and not row.joins


def look_at(
    dataset: Any, model: Any = None, batch_size: int | None = None, epoch_size: int | None = None
) -> Program:
    """Ask TensorFlow about a dataset and a model."""
    from ckptscope.recording import live

    whole, origin = _without_skip(dataset)
    pipeline = live.pipeline_facts(dataset) if dataset is not None else None
    names = live.data_files(dataset) if dataset is not None else []
    files = tuple(_counted(names))
    if pipeline is not None:
        uncut = pipeline if whole is dataset else live.pipeline_facts(whole) or pipeline
        told = pipeline.batch_size if pipeline.batch_size is not None else uncut.batch_size
        batch_size = batch_size if batch_size is not None else told
        if epoch_size is None and uncut.epoch_size is not None:
            epoch_size = uncut.epoch_size + (origin.examples if whole is dataset else 0)
    found = Program(
        pipeline,
        files,
        live.layers_of(model) if model is not None else None,
        batch_size,
        epoch_size,
        origin,
        tuple(live.reshuffles(dataset)) if dataset is not None else (),
    )
    if epoch_size is None and found.reads_whole_files:
        counts = [file.num_records for file in files]
        if None not in counts:
            found = dataclasses.replace(found, epoch_size=sum(count or 0 for count in counts))
    return found


def _without_skip(dataset: Any) -> tuple[Any, Origin]:
    """(the data that a ``skip`` at the end of a pipeline leaves something out of, what that is).

    With a ``repeat`` above it each pass is shorter, which moves no beginning."""
    from ckptscope.recording import live

    stages = live.stages_of(dataset)
    kinds = [live.kind_of(stage) for stage in stages]
    batch = next((number for number, kind in enumerate(kinds) if "Batch" in kind), len(kinds))
    for number, (kind, stage) in enumerate(zip(kinds, stages, strict=True)):
        if kind == "Skip" and number + 1 < len(stages):
            count = live.number_of(stage, "_count")
            if count is None or count < 0:
                break
            behind = number < batch < len(kinds)
            return stages[number + 1], Origin(count, 0) if behind else Origin(0, count)
        if kind == "Range":
            begin = live.number_of(stage, "_start")
            step = live.number_of(stage, "_step")
            return dataset, Origin(0, begin if begin and begin > 0 and step == 1 else 0, True)
        if kind not in _HANDS_ON and kind not in ("Batch", "Finalize"):
            break
    return dataset, Origin()


def look_at_safely(
    dataset: Any, model: Any, batch_size: int | None, epoch_size: int | None
) -> Program:
    """As :func:`look_at`; where TensorFlow cannot say, what the caller knows."""
    try:
        return look_at(dataset, model, batch_size, epoch_size)
    except Exception:  # a dataset without a graph must not stop the training
        return Program(None, (), None, batch_size, epoch_size)


def _counted(names: list[str]) -> list[SourceFile]:
    """Files with their sizes, and their records where that is not too much to walk."""
    sizes = [os.path.getsize(name) if os.path.isfile(name) else None for name in names]
    walk = sum(size or 0 for size in sizes) <= _COUNTED_NBYTES
    reader = DataFiles()
    found = []
    for name, size in zip(names, sizes, strict=True):
        count = reader.num_records(name, "record") if walk and size is not None else None
        if count is None and walk and size is not None:
            count = reader.num_records(name, "line")
        found.append(
            SourceFile(
                os.path.abspath(name),
                size,
                count,
                fingerprint_of(name) if size is not None else None,
            )
        )
    return found
