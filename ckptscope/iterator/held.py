"""What stages hold back: elements read from their input and not yet handed on, over all
spellings of the releases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ckptscope.formats.dtypes import VARIANT
from ckptscope.iterator.state import StateItem, StateTensor
from ckptscope.iterator.tree import Stage, decode, flag_of, integer_of

_COMPONENT = re.compile(r"^(?:buffer|component)?\[(\d+)\]$")


@dataclass(frozen=True, slots=True)
class Held:
    """One element that waits in a stage.

    Attributes:
        components: its tensors, in order.
        is_error: it will raise when it is asked for.
    """

    components: tuple[StateTensor, ...]
    is_error: bool = False

    @property
    def leading(self) -> int | None:
        """Size of the first axis: the number of examples if the element is a batch. None where
        parts disagree.
        """
        sizes = {tensor.shape[0] for tensor in self.components if tensor.shape}
        return (
            sizes.pop()
            if len(sizes) == 1 and not any(t.dtype is VARIANT for t in self.components)
            else None
        )


def _bounded(stage: Stage, key: str) -> int:
    """A stored count, no larger than the number of keys that could belong to it."""
    return min(max(0, stage.integer(key) or 0), len(stage.items) + len(stage.parts))


def components_of(items: Mapping[str, StateItem]) -> tuple[StateTensor, ...]:
    """Tensors under ``[c]``, ``buffer[c]`` or ``component[c]``."""
    found = []
    for key, item in items.items():
        match = _COMPONENT.match(key)
        if match and (tensor := decode(item)) is not None:
            found.append((int(match[1]), tensor))
    return tuple(tensor for _, tensor in sorted(found, key=lambda pair: pair[0]))


def with_prefix(items: Mapping[str, StateItem], prefix: str) -> dict[str, StateItem]:
    """The keys that start with ``prefix``, without it."""
    return {key[len(prefix) :]: item for key, item in items.items() if key.startswith(prefix)}


def numbered_parts(stage: Stage, name: str) -> Iterator[tuple[int, Mapping[str, StateItem]]]:
    """Parts ``name::n`` in numeric order (the plain ``n`` for an empty name)."""
    prefix = f"{name}::" if name else ""
    numbers = sorted(
        int(part[len(prefix) :])
        for part in stage.parts
        if part.startswith(prefix) and part[len(prefix) :].isdigit()
    )
    for number in numbers:
        yield number, stage.parts[f"{prefix}{number}"]


def prefetch_entries(stage: Stage) -> list[Held]:
    """Entries of a Prefetch buffer, oldest first."""
    entries = []
    for number in range(_bounded(stage, "buffer_size")):
        part = stage.parts.get(str(number))
        if part is not None:
            code = integer_of(part.get("status.code"))
            entries.append(Held(components_of(part), bool(code)))
        else:  # TF 1.15
            code = stage.integer(f"status[{number}].code")
            entries.append(
                Held(components_of(with_prefix(stage.items, f"buffer[{number}]")), bool(code))
            )
    return entries


def map_results(stage: Stage) -> list[Held]:
    """Results that a ParallelMap has computed or is computing."""
    parts = list(numbered_parts(stage, "invocation_results"))
    if not parts:  # TF 1.15 keeps them among the stage's own keys
        size = _bounded(stage, "invocation_results.size")
        parts = [(n, with_prefix(stage.items, f"invocation_results[{n}].")) for n in range(size)]
        spellings = [(n, with_prefix(stage.items, f"invocation_results[{n}]")) for n in range(size)]
        parts = [
            (n, {**other, **own}) for (n, own), (_, other) in zip(parts, spellings, strict=True)
        ]
    results = []
    for _, items in parts:
        if flag_of(items.get("end_of_input")):
            continue
        width = integer_of(items.get("size", items.get(".size")))
        code = integer_of(items.get("_code", items.get("code", items.get(".code"))))
        if width == 0 and not code:
            continue
        results.append(Held(components_of(items), bool(code)))
    return results


def batch_results(stage: Stage) -> tuple[int, int | None]:
    """(examples inside the batches of a MapAndBatch or ParallelBatch, size of a full batch if one
    shows it).

    Tensors are stored cut to what is filled, so only a finished batch before the end shows the
    size."""
    examples = 0
    full: list[int] = []
    for key in stage.items:
        match = re.match(r"^batch_results_(\d+)_num_elements$", key)
        if not match:
            continue
        prefix = f"batch_results_{match[1]}"
        count = stage.integer(key) or 0
        examples += count
        tensors = [
            tensor
            for part_key, item in (
                *stage.parts.get(prefix, {}).items(),
                *with_prefix(stage.items, f"{prefix}_").items(),
            )
            if part_key.startswith("output_")
            and part_key[7:].isdigit()
            and (tensor := decode(item)) is not None
        ]
        leading = next((tensor.shape[0] for tensor in tensors if tensor.shape), None)
        pending = stage.integer(f"{prefix}_num_calls")
        if leading and (
            leading > count or (not pending and not stage.flag(f"{prefix}_end_of_input"))
        ):
            full.append(leading)
    return examples, max(full) if full else None


def shuffle_live(stage: Stage) -> list[Held] | None:
    """The live elements of a shuffle buffer; None if the slots cannot be told."""
    num_slots = integer_of(stage.parts.get("buffer", {}).get("num_elements"))
    slots: dict[int, tuple[StateTensor, ...]] = {}
    for name in ("buffer", ""):
        for number, items in numbered_parts(stage, name):
            slots[number] = components_of(items)
    legacy = {key for key in stage.items if re.match(r"^buffer_\d+_size$", key)}
    for key in legacy:
        number = int(key.split("_")[1])
        keys = sorted(k for k in stage.items if re.match(rf"^buffer_{number}_\d+$", k))
        slots[number] = tuple(tensor for k in keys if (tensor := stage.tensor(k)) is not None)
    if num_slots is None:
        num_slots = len(slots) if slots and not legacy else None
    live: list[Held] = []
    for part in range(_bounded(stage, "slices_size")):
        first, last = stage.integer(f"slices_start_{part}"), stage.integer(f"slices_end_{part}")
        if first is None or last is None or last < first or last - first > max(len(slots), 1) * 2:
            return None
        if legacy:
            continue
        for element in range(first, last):
            components = slots.get(element % num_slots) if num_slots else None
            if components is None:
                return None
            live.append(Held(components))
    return [Held(components) for components in slots.values()] if legacy else live


def interleave_elements(stage: Stage) -> list[Mapping[str, StateItem]]:
    """Current and future elements of a ParallelInterleave, keys without their leading prefix."""
    elements: list[Mapping[str, StateItem]] = []
    for which in ("current_elements", "future_elements"):
        parts = [items for _, items in numbered_parts(stage, which)]
        if not parts:
            size = _bounded(stage, f"{which}.size")
            parts = [with_prefix(stage.items, f"{which}[{number}]") for number in range(size)]
        elements.extend(parts)
    return elements


def worker_held(stage: Stage) -> int:
    """Elements waiting in the workers of a legacy parallel interleave."""
    total = 0
    for part, items in stage.parts.items():
        if re.match(r"^worker_\d+$", part):
            total += integer_of(items.get("outputs_size")) or 0
        elif re.match(r"^worker_thread_\d+$", part):
            total += (integer_of(items.get("output_output_size")) or 0) > 0
    for key in stage.items:
        if re.match(r"^worker_\d+_outputs_size$", key):
            total += stage.integer(key) or 0
        elif re.match(r"^worker_thread_\d+_output_output_size$", key):
            total += (stage.integer(key) or 0) > 0
    return total


def group_sizes(stage: Stage) -> int:
    """Elements listed in the groups of a GroupByWindow."""
    return sum(
        stage.integer(key) or 0 for key in stage.items if re.match(r"^groups_\[\d+\]_size$", key)
    )
