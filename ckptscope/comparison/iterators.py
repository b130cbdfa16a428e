"""Two states of one iterator compared decoded: whether they go on alike, and stage by stage
what moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ckptscope.comparison.data import Move, move_between
from ckptscope.comparison.model import IteratorChange, StageChange
from ckptscope.comparison.pipelines import pipeline_differs, same_op, title_of
from ckptscope.comparison.places import (
    Place,
    feeding,
    places_in,
    same_reading_pass,
    shared_order,
)
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import VARIANT
from ckptscope.iterator.held import Held
from ckptscope.iterator.ops import OPS
from ckptscope.iterator.position import TreeEvaluator
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.state import StateItem, StateTensor
from ckptscope.iterator.tree import Stage, decode
from ckptscope.resume.facts import Facts, IteratorFact

# Two stages that are one stage in both states, and whether all that they hold is the same.
Pair = tuple[Stage | None, Stage | None, bool]
_POSITION_FIELDS = ("batches_consumed", "examples_consumed", "epoch", "examples_into_epoch")


def compare_iterators(
    a: Facts, b: Facts, wanted: Iterable[str] | None = None
) -> tuple[IteratorChange, ...]:
    """All iterators of two checkpoints, paired by key; training iterators pair whatever their keys.

    Args:
        wanted: keys to compare; all where None.
    """
    chosen = None if wanted is None else set(wanted)
    old = {it.key: it for it in a.iterators if chosen is None or it.key in chosen}
    new = {it.key: it for it in b.iterators if chosen is None or it.key in chosen}
    pairs = [(old.pop(key), new.pop(key)) for key in list(new) if key in old]
    if len(old) == len(new) == 1:
        pairs.append((old.popitem()[1], new.popitem()[1]))
    changes = [_compare(x, y, a, b) for x, y in pairs]
    changes += [
        IteratorChange(it.key, None, "removed", False, "A has it, B has not") for it in old.values()
    ]
    changes += [
        IteratorChange(it.key, None, "added", False, "B has it, A has not") for it in new.values()
    ]
    return tuple(changes)


def _compare(old: IteratorFact, new: IteratorFact, a: Facts, b: Facts) -> IteratorChange:
    old_key = old.key if old.key != new.key else None
    if old.tree is None or new.tree is None or old.reading is None or new.reading is None:
        broken = "A" if old.tree is None else "B"
        error = old.error if old.tree is None else new.error
        return IteratorChange(new.key, old_key, "undecoded", False, f"{broken}: {error}")
    try:
        return _decoded(old, new, a, b, old_key)
    except CkptscopeError as error:
        return IteratorChange(new.key, old_key, "undecoded", False, str(error))


def _decoded(
    old: IteratorFact, new: IteratorFact, a: Facts, b: Facts, old_key: str | None
) -> IteratorChange:
    assert old.tree is not None and new.tree is not None
    pairs = list(_stage_pairs(old.tree.root, new.tree.root))
    contents = [(x, y, x is not None and y is not None and _same_contents(x, y)) for x, y in pairs]
    places, move = _moved(old, new, a, b)
    evaluators = (
        TreeEvaluator(old.tree, _files(a)),
        TreeEvaluator(new.tree, _files(b)),
    )
    # What was read in between is the difference of two counts only where the iterator of the one
    # became that of the other.
    went_on = move.course.kind == "in_step" and move.course.is_shown
    same_pass = same_reading_pass(*places)
    restarted = _restarting(old.tree.root, same_pass) | _restarting(new.tree.root, same_pass)
    stages = tuple(
        _stage_change(
            x, y, same, evaluators if went_on and _present(x, y).path not in restarted else None
        )
        for x, y, same in contents
    )
    same, why = _same_future(old, new, contents, places)
    return IteratorChange(
        new.key,
        old_key,
        "same" if same else "moved",
        same,
        why,
        move.batches,
        move.examples,
        move.epochs,
        stages,
    )


def _files(facts: Facts) -> DataFiles:
    """Without those that happen to lie beside the ones that are read: nothing rests on them."""
    return DataFiles(facts.hints.data_root, facts.hints.files, may_list=False)


def _moved(
    old: IteratorFact, new: IteratorFact, a: Facts, b: Facts
) -> tuple[tuple[Place, Place], Move]:
    """Places and difference; only the iterator that feeds the training is compared with the
    steps.
    """
    pair = feeding(a, b)
    places = places_in(a, b, old, new)
    if pair is None or pair[0] is not old or pair[1] is not new:
        places = replace(places[0], step=None), replace(places[1], step=None)
    return places, move_between(*places)


# ------------------------------------------------------------ stages


def _stage_pairs(a: Stage | None, b: Stage | None) -> Iterator[tuple[Stage | None, Stage | None]]:
    """Stages of two trees that are the same stage, nearest the trainer first."""
    if a is not None and b is not None and not same_op(a, b):
        yield a, None
        for _, child in a.inputs:
            yield from _stage_pairs(child, None)
        yield None, b
        for _, child in b.inputs:
            yield from _stage_pairs(None, child)
        return
    yield a, b
    for old, new in _inputs(a, b):
        yield from _stage_pairs(old, new)


def _inputs(a: Stage | None, b: Stage | None) -> list[tuple[Stage | None, Stage | None]]:
    """Inputs by their number; where only one is open on either side, it is the same one further
    on.
    """
    old = dict(a.inputs) if a is not None else {}
    new = dict(b.inputs) if b is not None else {}
    if len(old) == len(new) == 1 and old.keys() != new.keys():
        return [(next(iter(old.values())), next(iter(new.values())))]
    return [(old.get(slot), new.get(slot)) for slot in dict.fromkeys((*old, *new))]


def _present(a: Stage | None, b: Stage | None) -> Stage:
    present = b if b is not None else a
    assert present is not None
    return present


def _restarting(root: Stage | None, same_pass: bool) -> set[str]:
    """Paths of stages that are made anew on the way, so that their counters start over and tell
    no difference.
    """
    if root is None:
        return set()
    return {
        below.path
        for stage in root.walk()
        if (spec := OPS.get(stage.op)) is not None
        and (spec.nests or (spec.repeats and not same_pass))
        for _, child in stage.inputs
        for below in child.walk()
    }


def _stage_change(
    a: Stage | None,
    b: Stage | None,
    same: bool,
    evaluators: tuple[TreeEvaluator, TreeEvaluator] | None,
) -> StageChange:
    present = _present(a, b)
    held = tuple(None if stage is None else _held(stage) for stage in (a, b))
    if a is None or b is None:
        return StageChange(
            present.path,
            title_of(present),
            "removed" if b is None else "added",
            (held[0], held[1]),
            None,
            f"{'in A only' if b is None else 'in B only'}{_held_words(held)}",
        )
    before, after = (
        (None, None)
        if evaluators is None
        else (_read_count(a, evaluators[0]), _read_count(b, evaluators[1]))
    )
    more = None if before is None or after is None else after - before
    if same and not more:
        held_in_both = f"; {held[1]:,} held in both" if held[1] else ""
        return StageChange(
            present.path,
            title_of(present),
            "same",
            (held[0], held[1]),
            more,
            f"the same{held_in_both}",
        )
    words = [text for text in (_held_words(held).lstrip("; "), _read_words(more)) if text]
    text = "; ".join(words) or _counter_words(a, b)
    return StageChange(present.path, title_of(present), "moved", (held[0], held[1]), more, text)


def _held(stage: Stage) -> int | None:
    spec = OPS.get(stage.op)
    try:
        return spec.held(stage) if spec is not None and spec.held is not None else None
    except CkptscopeError:
        return None


def _held_words(held: Sequence[int | None]) -> str:
    old, new = held
    if old is None and new is None:
        return ""
    if old == new:
        return f"; {new:,} held in both"
    shown = [f"{count:,}" if count is not None else "?" for count in (old, new)]
    return f"; {shown[0]} held, then {shown[1]}"


def _read_words(more: int | None) -> str:
    if more is None:
        return ""
    return (
        f"{more:,} more read"
        if more > 0
        else f"{-more:,} fewer read"
        if more < 0
        else "no more read"
    )


def _counter_words(a: Stage, b: Stage) -> str:
    """The counters that differ, where neither held nor read elements are known."""
    shown = []
    spec = OPS.get(b.op)
    for key in b.items:
        if spec is not None and not spec.shows(key):
            continue
        try:
            old, new = a.integer(key), b.integer(key)
        except CkptscopeError:
            continue
        if old is not None and new is not None and old != new:
            words = (spec.fields.get(key) if spec is not None else None) or f"{key} {{}}"
            shown.append(words.format(f"{old:,}, then {new:,}"))
    return "; ".join(shown[:2]) or "other contents"


def _read_count(stage: Stage, evaluator: TreeEvaluator) -> int | None:
    """Elements that a stage took from its input since it was made; of a source those that it
    gave.
    """
    try:
        progress = evaluator.evaluate(stage)
        below = evaluator.evaluate(stage.child) if stage.child is not None else progress
    except CkptscopeError:
        return None
    makes_batches = progress.batched and not below.batched
    given = (progress.examples if makes_batches else progress.elements).settled().total
    return None if given is None else given + (_held(stage) or 0)


# ------------------------------------------------------------ sameness


@dataclass(frozen=True, slots=True)
class _Items:
    items: Mapping[str, StateItem]

    def same(self, other: _Items, keys: Iterable[str]) -> bool:
        return all(
            _same_tensor(decode(self.items.get(key)), decode(other.items.get(key))) for key in keys
        )


def _same_contents(a: Stage, b: Stage) -> bool:
    """Whether all keys of two stages hold the same tensors, buffers included."""
    if a.items.keys() != b.items.keys() or a.parts.keys() != b.parts.keys():
        return False
    if not _Items(a.items).same(_Items(b.items), a.items):
        return False
    return all(
        a.parts[name].keys() == b.parts[name].keys()
        and _Items(a.parts[name]).same(_Items(b.parts[name]), a.parts[name])
        for name in a.parts
    )


def _same_tensor(a: StateTensor | None, b: StateTensor | None) -> bool:
    if a is None or b is None:
        return a is b
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    if isinstance(a.payload, (bytes, list)) or isinstance(b.payload, (bytes, list)):
        return bool(a.payload == b.payload) or (
            a.dtype is not VARIANT and repr(a.values()) == repr(b.values())
        )
    return bool(
        a.payload.SerializeToString(deterministic=True)
        == b.payload.SerializeToString(deterministic=True)
    )


def _same_future(
    old: IteratorFact, new: IteratorFact, contents: Sequence[Pair], places: tuple[Place, Place]
) -> tuple[bool, str]:
    """Whether both go on with the same elements, and what shows it."""
    if all(same for _, _, same in contents):
        return True, f"every counter and every held element is the same{_until_the_pass_ends(new)}"
    # What is read may belong to another file by now; any other stage must be there on both sides.
    assert (
        old.reading is not None
        and new.reading is not None
        and old.tree is not None
        and new.tree is not None
    )
    lacking = any(
        (x is None or y is None) and not _is_source(_present(x, y)) for x, y, _ in contents
    )
    if lacking or pipeline_differs(old.tree, new.tree) is not None:
        return False, "the stages differ"
    first, second = old.reading.position, new.reading.position
    for name in _POSITION_FIELDS:
        x, y = getattr(first, name), getattr(second, name)
        if x is not None and y is not None and x != y:
            return False, f"{name.replace('_', ' ')}: {x:,} in A, {y:,} in B"
    unknown = [
        name
        for name in _POSITION_FIELDS[:2]
        if getattr(first, name) is None or getattr(second, name) is None
    ]
    assumed = [
        item.text
        for item in (*old.reading.assumptions, *new.reading.assumptions)
        if item.needs_step
    ]
    if unknown or assumed:
        return False, "counters or held elements differ, and where they stand cannot be derived"
    in_both = [(x, y, same) for x, y, same in contents if x is not None and y is not None]
    same, why = _differ_by_reading_ahead(in_both, is_fixed=shared_order(*places) == ())
    return same, f"{why}{_until_the_pass_ends(new)}" if same else why


def _is_source(stage: Stage) -> bool:
    return stage.op in OPS and OPS[stage.op].is_source


def _until_the_pass_ends(iterator: IteratorFact) -> str:
    """What limits that two iterators go on alike."""
    unproven = [
        proof.op
        for proof in iterator.proofs
        if proof.status in ("unproven", "unseeded", "given_mismatch")
    ]
    return (
        f"; the {unproven[0]} is not proven seeded, so each process orders later passes anew"
        if unproven
        else ""
    )


def _differ_by_reading_ahead(
    contents: Sequence[tuple[Stage, Stage, bool]], is_fixed: bool
) -> tuple[bool, str]:
    """Both stand at the same place: only how much was read ahead may differ, in one order, with one
    data.

    Args:
        is_fixed: the order is fixed, or proven to follow from the same seeds.
    """
    outermost = next(
        (number for number, (x, _, _) in enumerate(contents) if _waiting(x) is not None), None
    )
    if outermost is None or not all(same for _, _, same in contents[:outermost]):
        return False, "the same place, but counters or held elements differ"
    for x, y, _ in contents:
        spec = OPS.get(x.op)
        keys = [key for key in x.items if spec is not None and key in spec.seed_keys]
        if spec is None or not _Items(x.items).same(_Items(y.items), keys):
            return False, "the same place, but the seeds of what follows differ"
    held_a, held_b = (_waiting(stage) or [] for stage in contents[outermost][:2])
    common = min(len(held_a), len(held_b))
    if common == 0 and is_fixed:
        return True, "the same place in the same fixed order, only read-ahead differs"
    if common == 0 or not all(_same_held(x, y) for x, y in zip(held_a, held_b, strict=False)):
        return False, "the same place, but it cannot be shown that the next elements are the same"
    return True, f"the same place; the next {common:,} held are the same, only read-ahead differs"


def _waiting(stage: Stage) -> list[Held] | None:
    """What was read ahead, in the order in which it will be handed on; None if it does not."""
    spec = OPS.get(stage.op)
    if spec is None or not spec.reads_ahead or spec.elements is None:
        return None
    return spec.elements(stage)


def _same_held(a: Held, b: Held) -> bool:
    return len(a.components) == len(b.components) and all(
        _same_tensor(x, y) for x, y in zip(a.components, b.components, strict=True)
    )
