"""Numbers and lists as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ckptscope.iterator.position import Position


def printable(text: str) -> str:
    """Names and messages from files without control characters, which a terminal would obey."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text)


def size(nbytes: int) -> str:
    """Bytes with a decimal unit: ``8.9 kB``."""
    value = float(nbytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{nbytes} B"


def plural(count: int, noun: str) -> str:
    """``1 batch``, ``2 batches``."""
    ending = "es" if noun.endswith(("ch", "sh", "s", "x")) else "s"
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def shape(dimensions: Sequence[int]) -> str:
    """``4x6``; ``scalar`` without axes."""
    return "x".join(str(size) for size in dimensions) if dimensions else "scalar"


def place(position: Position) -> list[str]:
    """A position as short sentences, what is known first."""
    lines = []
    if position.examples_consumed is not None:
        text = f"{plural(position.examples_consumed, 'example')} consumed"
        if position.batches_consumed is not None and position.batch_size is not None:
            text += f", in {plural(position.batches_consumed, 'batch')} of {position.batch_size}"
        elif (
            position.batches_consumed is not None
            and position.batches_consumed != position.examples_consumed
        ):
            text += f", in {plural(position.batches_consumed, 'batch')}"
        lines.append(text)
    elif position.batches_consumed is not None:
        lines.append(f"{plural(position.batches_consumed, 'batch')} consumed")
    if position.epoch is not None:
        text = f"epoch {position.epoch}"
        if position.examples_into_epoch is not None:
            text += f", {plural(position.examples_into_epoch, 'example')} into it"
            text += f" of {position.epoch_size:,}" if position.epoch_size else ""
        lines.append(text)
    elif position.examples_into_epoch is not None:
        lines.append(
            f"{plural(position.examples_into_epoch, 'example')} into an epoch whose number is "
            "not stored"
        )
    if position.next_record is not None:
        where = f"record {position.next_record.record_index}"
        lines.append(f"next: {where} of {position.next_record.file or 'the data in memory'}")
    return lines


def unknown(position: Position) -> dict[str, list[str]]:
    """Reasons why fields are unknown, each with the fields that it holds for."""
    grouped: dict[str, list[str]] = {}
    for name, reason in position.reasons.items():
        grouped.setdefault(reason, []).append(name.replace("_", " "))
    return grouped


def listed(items: Iterable[str], limit: int) -> str:
    """At most ``limit`` items, and how many were left out."""
    found = list(items)
    rest = len(found) - limit
    return ", ".join(found[:limit]) + (f" and {rest:,} more" if rest > 0 else "")
