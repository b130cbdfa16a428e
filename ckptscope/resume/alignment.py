"""How an iterator stands to the run: every witness of how many batches were trained on is heard.

The step counter, the optimizers' updates, the recorder's count and the neighbours of the
checkpoint. The order in which they win is that of the contract: batches that equal an optimizer's
updates agree whatever the step counts; an iterator ahead by a whole factor feeds several batches to
each step; one that was ahead by as much before lost its place long ago.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ckptscope.iterator.position import Hints, Reading
from ckptscope.resume.agreement import RUN_RECORD, Agreement, compare
from ckptscope.resume.delivered import delivered_by
from ckptscope.resume.neighbours import Neighbour
from ckptscope.wording import counted

_EVALUATION = re.compile(
    r"(^|[/_.\-])(eval|evaluation|val|valid|validation|test|dev)([/_.\-\d]|$)", re.IGNORECASE
)
# Below so many steps a whole factor is likely by accident.
MIN_STEPS = 3
# A counter that starts at 1 (or another small number) stays ahead by that.
_MAX_START = 2


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who testifies how many batches the run trained on.

    Attributes:
        step: the run's step, None where there is none or it is refuted.
        step_key: where it is stored.
        step_source: ``own``, ``optimizer`` or None, as in :class:`ckptscope.resume.facts.StepFact`.
        updates: counts of updates above 0, with their names.
        recorded: batches that the recorder counted.
        staging: ops that hold batches between the iterator and the training op.
        batch_size_changed: a run record here and one of a neighbour name different sizes.
        neighbours: in the order of the directory.
    """

    step: int | None = None
    step_key: str | None = None
    step_source: str | None = None
    updates: tuple[tuple[str, int], ...] = ()
    recorded: int | None = None
    staging: tuple[str, ...] = ()
    batch_size_changed: bool = False
    neighbours: tuple[Neighbour, ...] = ()


def align(key: str, reading: Reading, witnesses: Witnesses, hints: Hints) -> Agreement:
    """How the iterator under ``key`` stands to all witnesses."""
    found = _counted(reading, witnesses, hints)
    found = replace(found, delivered=delivered_by(reading))
    if found.in_step:
        return found
    found = replace(found, confirmed_by=_confirmed_by(key, reading, witnesses, found.delivered))
    if witnesses.batch_size_changed:
        return Agreement(
            "unknown", compared_with=witnesses.step, mixed_batches=True, feeds=found.feeds
        )
    if reading.guesses and found.confirmed_by is None:
        # What a listing of data files suggests proves no difference.
        found = Agreement("unknown", compared_with=witnesses.step)
    if found.kind == "ahead":
        found = _ahead(key, found, witnesses)
    elif found.kind in ("behind", "whole_passes_behind"):
        found = _behind(key, found, witnesses)
    if not found.in_step:
        found = replace(found, not_training=_why_not_training(key, reading, found, witnesses))
    return found


def _confirmed_by(
    key: str, reading: Reading, witnesses: Witnesses, delivered: int | None
) -> str | None:
    """The neighbour of another step in which the same assumptions lead to a count that is in step,
    or to as many batches for each step as here.
    """
    step_here = witnesses.step or 0
    rate = delivered // step_here if delivered and step_here and not delivered % step_here else 1
    needed = {item.code for item in reading.assumptions if item.needs_step}
    for neighbour in witnesses.neighbours:
        given = neighbour.delivered.get(key)
        step = neighbour.counters.get(witnesses.step_key or "")
        if given is None or not given.batches or not step or not needed <= given.assumptions:
            continue
        if given.batches == step or (step != witnesses.step and given.batches == rate * step):
            return neighbour.name
    return None


def _counted(reading: Reading, witnesses: Witnesses, hints: Hints) -> Agreement:
    """Its counts against the step, then against the updates, then against the recorder's count."""
    source = witnesses.step_source
    first = compare(reading, witnesses.step, source, hints)
    if first.kind == "agrees":
        return replace(first, compared_with=witnesses.step)
    for name, updates in witnesses.updates:
        second = compare(reading, updates, "optimizer", hints)
        better = second.kind == "agrees" or (
            second.implied_batch_size is not None and _may_start_at(witnesses.step, updates)
        )
        telling = second.implied_batch_size or second.batches_per_update
        if first.kind in ("unknown", "contradicts") and first.implied_batch_size is None:
            better = better or (second.kind == "unknown" and bool(telling))
        if better:
            return replace(second, compared_with=updates, witness=name)
    delivered = delivered_by(reading)
    if witnesses.recorded is not None and delivered == witnesses.recorded:
        if first.kind == "ahead":
            return Agreement("several_per_step", first.batches, witness=RUN_RECORD)
        if first.kind in ("behind", "unknown", "contradicts"):
            return replace(first, feeds=RUN_RECORD)
    return replace(first, compared_with=witnesses.step)


def _may_start_at(step: int | None, updates: int) -> bool:
    """The step counter may have started at 1, or there is none."""
    return step is None or 0 < step - updates <= _MAX_START


def _ahead(key: str, found: Agreement, witnesses: Witnesses) -> Agreement:
    per_step = _per_step(found, witnesses)
    if per_step is not None:
        return per_step
    if found.batches is None:
        return found
    leads = _leads(key, witnesses)
    earlier = [lead for neighbour, lead in leads if not neighbour.later]
    alike = [neighbour for neighbour, lead in leads if lead == found.batches]
    if alike and any(lead < found.batches for lead in earlier):
        return replace(found, lost_before=alike[0].name)
    if witnesses.staging:
        return replace(found, fetched_ahead=f"{witnesses.staging[0]} holds them")
    if leads and len(alike) == len(leads):
        return replace(found, fetched_ahead=f"it is as far ahead in {alike[0].name}")
    return found


def _per_step(found: Agreement, witnesses: Witnesses) -> Agreement | None:
    """Several batches for each step, or for each update."""
    delivered, step = found.delivered, witnesses.step
    if delivered is None:
        return None
    counts = [("", step), *witnesses.updates]
    for name, count in counts:
        if count is None or count < MIN_STEPS or delivered < 2 * count or delivered % count:
            continue
        many = delivered // count
        return replace(found, kind="several_per_step", batches_per_step=many, witness=name or None)
    return None


def _leads(key: str, witnesses: Witnesses) -> list[tuple[Neighbour, int]]:
    """By how many batches the same iterator was ahead of the step in each neighbour of another step;
    one of the same step is a copy, and no further witness.
    """
    found = []
    for neighbour in witnesses.neighbours:
        given = neighbour.delivered.get(key)
        step = neighbour.counters.get(witnesses.step_key or "")
        if given is None or given.batches is None or step in (None, witnesses.step):
            continue
        found.append((neighbour, given.batches - (step or 0)))
    return found


def _behind(key: str, found: Agreement, witnesses: Witnesses) -> Agreement:
    if found.feeds is not None or found.kind == "whole_passes_behind":
        return found
    for neighbour, lead in _leads(key, witnesses):
        moved = found.delivered is not None and bool(neighbour.delivered[key].batches)
        if found.batches is not None and lead == -found.batches and moved and found.delivered:
            return replace(found, feeds=neighbour.name)
    return found


def _why_not_training(
    key: str, reading: Reading, found: Agreement, witnesses: Witnesses
) -> str | None:
    """Evidence that this is another iterator than the one that feeds the training."""
    updates = max((count for _, count in witnesses.updates), default=0)
    trained = counted(witnesses.step or updates, "step" if witnesses.step else "update")
    has_moved = bool(witnesses.step or updates)
    name = key.partition("/.ATTRIBUTES/")[0]
    if _EVALUATION.search(name) and has_moved and found.feeds != RUN_RECORD:
        return (
            "its name is that of an iterator for evaluation, and its count is not that of the run"
        )
    if found.kind == "whole_passes_behind" or found.feeds is not None:
        return None
    if found.delivered == 0 and has_moved:
        stays = [n for n in witnesses.neighbours if _stands_still(n, key, witnesses)]
        where = f" here and in {stays[0].name}" if stays else ""
        return f"it has delivered nothing{where} although the run made {trained}"
    if reading.exhausted:
        later = next((n for n in _later(witnesses) if _has_gone_on(n, key, witnesses)), None)
        if later is not None:
            return f"its data has ended, and in {later.name} the run has gone on without it"
    return None


def _stands_still(neighbour: Neighbour, key: str, witnesses: Witnesses) -> bool:
    given = neighbour.delivered.get(key)
    step = neighbour.counters.get(witnesses.step_key or "")
    return given is not None and given.batches == 0 and step != witnesses.step


def _later(witnesses: Witnesses) -> Iterable[Neighbour]:
    return (neighbour for neighbour in witnesses.neighbours if neighbour.later)


def _has_gone_on(neighbour: Neighbour, key: str, witnesses: Witnesses) -> bool:
    """Its step went on while the iterator was exhausted there, too."""
    step = neighbour.counters.get(witnesses.step_key or "")
    given = neighbour.delivered.get(key)
    return (
        step is not None
        and witnesses.step is not None
        and step > witnesses.step
        and given is not None
        and given.exhausted
    )
