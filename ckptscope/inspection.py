"""One call from a path to everything that can be said of a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ckptscope.checkpoint.discover import Location, Remark, find, ordered_checkpoints
from ckptscope.checkpoint.model import Checkpoint
from ckptscope.checkpoint.names import Selection, names_of
from ckptscope.checkpoint.roles import ROLES, Role, Variable
from ckptscope.errors import CheckpointChangedError, CkptscopeError
from ckptscope.iterator.ops import OPS
from ckptscope.iterator.position import COUNTS, Hints, Position
from ckptscope.iterator.tree import Stage, flag_of
from ckptscope.resume.agreement import own_position
from ckptscope.resume.facts import CHECKSUM_LIMIT_NBYTES, Facts, IteratorFact
from ckptscope.resume.gather import gather
from ckptscope.resume.model import VERDICTS
from ckptscope.resume.report import ResumeReport, evaluate

if TYPE_CHECKING:
    import pandas

_MAX_SHOWN_ELEMENTS = 10
_MAX_SHOWN_VALUES = 8
_MAX_ALTERNATIVES = 16


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """Which checkpoint, and what kind."""

    path: str
    chosen_because: str
    format: str
    style: str
    step: int | None
    nbytes: int
    num_shards: int
    num_variables: int
    producer: str | None
    complete: bool


@dataclass(frozen=True, slots=True)
class Group:
    """All variables of one role."""

    role: Role
    num_variables: int
    num_elements: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class StageInfo:
    """One stage of a pipeline, in the user's words.

    Attributes:
        known: it is in the table of ops; else its fields are shown raw.
        fields: its counters and flags.
        held_elements: elements read and not handed on, None where it holds none by nature.
        elements: contents of its buffer, only where asked for.
    """

    path: str
    op: str
    title: str
    known: bool
    fields: Mapping[str, int | bool]
    held_elements: int | None
    nbytes: int
    inputs: tuple[StageInfo, ...]
    elements: tuple[tuple[str, ...], ...] | None = None

    def walk(self) -> Iterable[StageInfo]:
        """This stage and all below it."""
        yield self
        for stage in self.inputs:
            yield from stage.walk()


@dataclass(frozen=True, slots=True)
class IteratorInfo:
    """One stored iterator."""

    key: str
    source_file: str
    decoded: bool
    error: str | None
    nbytes: int
    started: bool | None
    exhausted: bool | None
    stages: tuple[StageInfo, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class GeneratorInfo:
    """One stored random generator; ``state`` as stored, None where it cannot be read."""

    key: str
    kind: str
    algorithm: str | None
    state: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that is said of one checkpoint. Shapes as stored, sizes in bytes.

    Attributes:
        parameters: (number, bytes) of model weights.
        stats: by key, where asked for.
        stats_problems: by key, why there are no statistics of it.
        remarks: what a person should know of the directory; not part of the JSON.
    """

    checkpoint: CheckpointInfo
    parameters: tuple[int, int]
    groups: tuple[Group, ...]
    variables: tuple[Variable, ...]
    iterators: tuple[IteratorInfo, ...]
    rng: tuple[GeneratorInfo, ...]
    counters: Mapping[str, int]
    resume: ResumeReport
    stats: Mapping[str, Mapping[str, float | int | None]]
    stats_problems: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    def to_json(self) -> str:
        """The contract's JSON object, as text."""
        from ckptscope.render.jsonable import inspection_pieces

        return "".join(inspection_pieces(self))

    def to_frame(self) -> pandas.DataFrame:
        """One row for each variable."""
        from ckptscope.render.frames import inspection_frame

        return inspection_frame(self)

    def _repr_html_(self) -> str:
        from ckptscope.render.notebook import inspection_html

        return inspection_html(self)


def meets(verdict: str, require: str) -> bool:
    """Whether a verdict is at least what is required."""
    order: tuple[str, ...] = VERDICTS
    return order.index(verdict) >= order.index(require)


def open_checkpoint(path: str, *, step: str | int | None = None) -> Checkpoint:
    """Open the checkpoint that ``path`` means (any form that ``ckptscope inspect`` takes).

    Raises:
        CkptscopeError: there is none, or it cannot be read.
    """
    return find(str(path), None if step is None else str(step)).open()


def inspect(
    path: str,
    *,
    step: str | int | None = None,
    batch_size: int | None = None,
    epoch_size: int | None = None,
    global_seed: int | None = None,
    shuffle_seed: int | None = None,
    data_root: str | None = None,
    verify: bool = False,
    stats: bool = False,
    show_elements: bool = False,
    only: Iterable[str] = (),
    ignore: Iterable[str] = (),
    require: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Inspection:
    """Inspect the checkpoint that ``path`` means.

    Args:
        path: a prefix, any member file, a directory, a state file, ``DIR@STEP``.
        step: which checkpoint of a directory: a number, ``latest``, or -K.
        batch_size, epoch_size, global_seed, shuffle_seed, data_root: what the state cannot hold.
        verify: read every checksum, whatever the size.
        stats: compute statistics of each numeric variable (reads all data).
        show_elements: include what is in buffers (the user's data).
        only, ignore: patterns of names of the variables to list.
        require: a verdict that the headline should name an alternative for, if this checkpoint
            misses it.
        progress: called with the bytes checked.

    Raises:
        CkptscopeError: there is no such checkpoint, or nothing can be said of it.
    """
    hints = Hints(batch_size, epoch_size, global_seed, shuffle_seed, data_root)
    location, checkpoint, facts = gathered(
        str(path), None if step is None else str(step), hints, verify=verify, progress=progress
    )
    with checkpoint:
        report = evaluate(facts)
        if report.verdict == "impossible" or (
            require is not None and not meets(report.verdict, require)
        ):
            report = replace(
                report,
                headline=report.headline + _alternative(location, hints, require or "approximate"),
            )
        return _inspection(facts, report, tuple(only), tuple(ignore), stats, show_elements)


def gathered(
    path: str,
    step: str | None,
    hints: Hints,
    *,
    verify: bool = False,
    checksum_limit_nbytes: int = CHECKSUM_LIMIT_NBYTES,
    progress: Callable[[int], None] | None = None,
) -> tuple[Location, Checkpoint, Facts]:
    """Facts of a checkpoint that was not replaced meanwhile; tried twice.

    Args:
        checksum_limit_nbytes: up to this size checksums of all tensors are verified without being
            asked.
    """
    for _ in range(2):
        location = find(path, step)
        before = location.fingerprint()
        checkpoint = location.open()
        facts = gather(
            location,
            checkpoint,
            hints,
            verify=verify,
            checksum_limit_nbytes=checksum_limit_nbytes,
            progress=progress,
        )
        if not facts.is_damaged or before == location.fingerprint() is not None:
            return location, checkpoint, facts
        checkpoint.close()
    raise CheckpointChangedError(
        "is being written or removed right now; try again", path=location.prefix
    )


def _alternative(location: Location, hints: Hints, require: str) -> str:
    """Name the latest checkpoint beside this one that meets what is required."""
    try:
        others = [
            other
            for other in ordered_checkpoints(os.path.dirname(location.prefix) or ".")
            if other.prefix != location.prefix
        ]
    except OSError:
        return ""
    what = "can be continued" if require == "approximate" else "resumes exactly"
    for other in reversed(others[-_MAX_ALTERNATIVES:]):
        try:
            with other.open() as checkpoint:
                verdict = evaluate(gather(other, checkpoint, hints)).verdict
        except CkptscopeError:
            continue
        if meets(verdict, require):
            name = os.path.basename(other.prefix)
            return f" The latest one here that {what} is {name} ({verdict})."
    if len(others) > _MAX_ALTERNATIVES:
        return f" None of the last {_MAX_ALTERNATIVES} of {len(others)} others here {what}."
    return f" No other checkpoint here {what}." if others else ""


def checkpoint_info(facts: Facts) -> CheckpointInfo:
    """Which checkpoint, and what kind."""
    checkpoint = facts.checkpoint
    return CheckpointInfo(
        path=checkpoint.prefix,
        chosen_because=facts.location.chosen_because,
        format=checkpoint.format,
        style=checkpoint.style,
        step=facts.step.value,
        nbytes=checkpoint.nbytes,
        num_shards=checkpoint.num_shards,
        num_variables=len(checkpoint.entries),
        producer=_producer(facts),
        complete=not facts.is_damaged,
    )


def _producer(facts: Facts) -> str | None:
    """The writer: from the stored graph, else as far as the shape of an iterator state tells
    its family.
    """
    if facts.meta is not None and facts.meta.tensorflow_version:
        return f"TensorFlow {facts.meta.tensorflow_version}"
    for iterator in facts.iterators:
        tree = iterator.tree
        if tree is None:
            continue
        if tree.encoding == "single":
            return "TensorFlow 1.x (by its iterator state)"
        if tree.encoding == "compressed":
            recent = tree.root is not None and any(
                "global_shuffle_iterator_next_index" in stage for stage in tree.root.walk()
            )
            return f"TensorFlow {'2.16+' if recent else '2.12+'} (by its iterator state)"
        return (
            f"TensorFlow 2.{'0-2.7' if tree.wrapper != 'Root' else '5-2.14'} (by its iterator "
            "state)"
        )
    return facts.checkpoint.producer


def _inspection(
    facts: Facts,
    report: ResumeReport,
    only: tuple[str, ...],
    ignore: tuple[str, ...],
    stats: bool,
    show_elements: bool,
) -> Inspection:
    variables = facts.inventory.variables
    if only or ignore:
        selection = Selection(only, ignore, names_of(variables))
        selection.check("this checkpoint")
        variables = tuple(variable for variable in variables if selection.wants(variable.key))
    totals: dict[Role, list[int]] = {}
    for variable in facts.inventory.variables:
        total = totals.setdefault(variable.role, [0, 0, 0])
        total[0] += 1
        total[1] += variable.entry.num_elements
        total[2] += variable.entry.nbytes
    weights = totals.get("weight", [0, 0, 0])
    found: dict[str, Mapping[str, float | int | None] | str] = {}
    if stats:
        from ckptscope.checkpoint.statistics import statistics_of

        found = {
            variable.key: statistics_of(facts.checkpoint, variable.key) for variable in variables
        }
    return Inspection(
        checkpoint=checkpoint_info(facts),
        parameters=(weights[1], weights[2]),
        groups=tuple(Group(role, *totals[role]) for role in ROLES if role in totals),
        variables=variables,
        iterators=tuple(
            _iterator_info(iterator, facts.step.value, show_elements)
            for iterator in facts.iterators
        ),
        rng=tuple(
            _generator(facts.checkpoint, variable) for variable in facts.inventory.of_role("rng")
        ),
        counters=facts.counters,
        resume=report,
        stats={key: made for key, made in found.items() if not isinstance(made, str)},
        stats_problems={key: made for key, made in found.items() if isinstance(made, str)},
        remarks=facts.location.remarks,
    )


def _iterator_info(iterator: IteratorFact, step: int | None, show_elements: bool) -> IteratorInfo:
    reading, tree = iterator.reading, iterator.tree
    if reading is not None:
        position = own_position(reading, iterator.agreement, step)
    else:
        why = iterator.error or "not decoded"
        position = Position(step=step, reasons=dict.fromkeys(("class", *COUNTS, "batch_size"), why))
    stages = (
        (_stage_info(tree.root, show_elements),)
        if tree is not None and tree.root is not None
        else ()
    )
    return IteratorInfo(
        key=iterator.key,
        source_file=iterator.source_file,
        decoded=reading is not None,
        error=iterator.error,
        nbytes=iterator.nbytes,
        started=reading.started if reading is not None else None,
        exhausted=reading.exhausted if reading is not None else None,
        stages=stages,
        position=position,
    )


def _stage_info(stage: Stage, show_elements: bool) -> StageInfo:
    spec = OPS.get(stage.op)
    fields: dict[str, int | bool] = {}
    for key, item in stage.items.items():
        if spec is not None and not spec.shows(key):  # it may be the user's data
            continue
        try:
            value = stage.integer(key)
            if value is not None:
                fields[key] = value
            elif flag_of(item):
                fields[key] = True
        except CkptscopeError:
            continue
    held = spec.held(stage) if spec is not None and spec.held is not None else None
    return StageInfo(
        path=stage.path,
        op=stage.op,
        title=spec.title if spec is not None else stage.op,
        known=spec is not None,
        fields=fields,
        held_elements=held,
        nbytes=stage.nbytes,
        inputs=tuple(_stage_info(child, show_elements) for _, child in stage.inputs),
        elements=_elements(stage) if show_elements else None,
    )


def _elements(stage: Stage) -> tuple[tuple[str, ...], ...] | None:
    """What lies in the buffer of a stage, oldest first, each tensor as short text; None where
    it cannot be read.
    """
    try:
        return _shown_elements(stage)
    except CkptscopeError:
        return None


def _shown_elements(stage: Stage) -> tuple[tuple[str, ...], ...] | None:
    spec = OPS.get(stage.op)
    held = spec.elements(stage) if spec is not None and spec.elements is not None else []
    shown = []
    for element in held[:_MAX_SHOWN_ELEMENTS]:
        texts = []
        for tensor in element.components:
            try:
                values = tensor.values(_MAX_SHOWN_VALUES)
                more = " …" if tensor.num_elements > len(values) else ""
                texts.append(
                    f"{tensor.dtype.name}{list(tensor.shape)} "
                    f"{' '.join(str(value) for value in values)}{more}"
                )
            except CkptscopeError:
                texts.append(f"{tensor.dtype.name}{list(tensor.shape)}")
        shown.append(tuple(texts))
    return tuple(shown) if shown else None


def _generator(checkpoint: Checkpoint, variable: Variable) -> GeneratorInfo:
    """tf.random.Generator keeps int64[3] for Philox (two counter words, one key) and int64[2]
    for ThreeFry.
    """
    try:
        state: tuple[int, ...] | None = tuple(
            int(value) for value in checkpoint.values(variable.key, 8)
        )
    except (CkptscopeError, ValueError):
        state = None
    seed_generator = "seed_generator" in (
        variable.object_path or variable.key
    ) or "seed_generator" in (variable.full_name or "")
    if seed_generator:
        return GeneratorInfo(variable.key, "seed generator", None, state)
    algorithm = (
        {3: "philox", 2: "threefry"}.get(variable.entry.num_elements)
        if variable.entry.dtype.name in ("int64", "uint64")
        else None
    )
    return GeneratorInfo(variable.key, "tf.random.Generator", algorithm, state)
