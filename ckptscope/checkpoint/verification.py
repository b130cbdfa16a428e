"""Every byte of a checkpoint against its checksum, and everything that belongs to it.

To a checkpoint belong the input pipeline's checkpoint of the same step, which an Estimator's hook
writes, the stored graph, and what these and its own object graph name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ckptscope.checkpoint.absence import missing_keys
from ckptscope.checkpoint.discover import Location, Partner, partners_of
from ckptscope.checkpoint.meta_graph import read_meta_graph
from ckptscope.checkpoint.model import Checkpoint, Damage
from ckptscope.errors import CkptscopeError

Advance = Callable[[int], None] | None


def verify_all(
    location: Location, checkpoint: Checkpoint, progress: Advance = None
) -> tuple[Damage, ...]:
    """All that is wrong with an open checkpoint and what belongs to it; reads every byte.

    Args:
        progress: called with the bytes checked.
    """
    damage = list(checkpoint.reader.check(checkpoint.entries, True, progress))
    problem = checkpoint.graph_problem
    if problem is not None and problem.key not in {item.key for item in damage}:
        damage.append(problem)
    partners = [one for one in partners_of(location) if one.step == location.number]
    for partner in partners:
        damage += _of_partner(partner, progress)
    meta, meta_problem = read_meta_graph(location.prefix)
    if meta_problem is not None:
        # Restoring variables does not need it; importing the graph does.
        damage.append(Damage("meta", f"{location.prefix}.meta", None, None, meta_problem))
    known = {item.key for item in damage if item.fatal}
    absent = missing_keys(
        checkpoint,
        saved=getattr(meta, "saved", None) or (),
        partners=[partner.prefix for partner in partners if partner.is_complete],
    )
    for item in absent:
        if item.key not in known:
            file = item.key if item.named_by == "partner" else location.prefix
            index = f"{file}.index" if location.format == "tensor_bundle" else file
            damage.append(Damage("absent", index, None, None, item.problem, fatal=item.raises))
    return tuple(damage)


def _of_partner(partner: Partner, progress: Advance) -> Iterator[Damage]:
    if not partner.is_complete:
        yield Damage("index", f"{partner.prefix}.index", None, None, partner.problem or "missing")
        return
    location = Location(partner.prefix, "tensor_bundle", "", partner.step)
    try:
        with location.open() as checkpoint:
            yield from checkpoint.reader.check(checkpoint.entries, True, progress)
    except CkptscopeError as error:
        yield Damage("index", f"{partner.prefix}.index", None, None, str(error))
