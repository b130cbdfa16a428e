"""Recorded runs made without TensorFlow, and what they must show."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ckptscope.recording.columns import Chunk
from ckptscope.recording.intervals import in_epochs
from ckptscope.recording.lineage import scale_of, spans_of
from ckptscope.recording.model import Attempt, SourceFile, Start
from ckptscope.recording.reader import from_collected
from ckptscope.recording.recorder import Recorder, new_id
from ckptscope.runs.model import Run
from ckptscope.runs.places import search
from ckptscope.runs.reading import read_all

FRESH = Start(0, 0, 0, 0, "fresh")
BATCH, EPOCH = 4, 40


def at(examples: int, epoch_size: int = EPOCH, batch: int = BATCH) -> Start:
    """A start after so many examples."""
    before = max(examples - 1, 0)
    into = before % epoch_size + 1 if examples else 0
    return Start(examples // batch, examples, before // epoch_size, into, "decoded")


def record(
    directory: Path,
    steps: Iterable[int],
    *,
    saves: Iterable[int] = (),
    start: Start = FRESH,
    **facts: Any,
) -> str:
    """One attempt that trains the steps and notes a checkpoint ``ckpt-STEP`` after some;
    returns its id.
    """
    told = {"batch_size": BATCH, "epoch_size": EPOCH, "spans": True, "order": "fixed", **facts}
    attempt = Attempt(**{"id": new_id(), "started_s": time.time(), "start": start, **told})
    noted = set(saves)
    with Recorder(str(directory), attempt, flush_interval_s=0.02) as recorder:
        for step in steps:
            recorder.step(step)
            if step in noted:
                recorder.saved(str(directory / f"ckpt-{step}"), step)
    return attempt.id


def restarted(
    directory: Path, begin: int, kill: int, end: int, start: Start, **facts: Any
) -> tuple[str, str]:
    """A run killed at step ``kill`` that goes on from ``begin`` with its data at ``start``."""
    first = record(directory, range(1, kill + 1), saves=[begin], **facts)
    name = str(directory / f"ckpt-{begin}")
    second = record(
        directory,
        range(begin + 1, end + 1),
        start=start,
        restored_from=name,
        restored_step=begin,
        **facts,
    )
    return first, second


def files(*counts: int) -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(f"/data/part-{number}", 100, count) for number, count in enumerate(counts)
    )


def only_run(directory: Path) -> Run:
    (run,) = read_all(search(str(directory)))
    return run


def attempts_of(pieces: list[tuple[int, int, int]], batch: int, epoch: int):
    """Attempts of a stream whose batches run across epochs: (begin step, last step, examples at
    the start) each.
    """
    from ckptscope.recording.reader import _Collected

    collected, parent = {}, None
    for number, (begin, last, examples) in enumerate(pieces):
        name = f"attempt{number}"
        start = at(examples, epoch, batch)
        header = {
            "id": name,
            "started_s": 1.0 + number,
            "batch_size": batch,
            "epoch_size": epoch,
            "spans": True,
            "order": "fixed",
            "parent": parent,
            "restored_step": begin if number else None,
            "start": {
                "batches": examples // batch,
                "examples": examples,
                "epoch": start.epoch,
                "into": start.into,
            },
        }
        steps = np.arange(begin + 1, last + 1)
        made = np.arange(1, len(steps) + 1) + examples // batch
        columns = {
            "step": steps,
            "epoch": steps * 0 - 1,
            "batches": made,
            "examples": steps * 0 - 1,
            "wall_time_ms": steps,
        }
        item = _Collected(headers=[(0, header)])
        if len(steps):
            item.chunks[0, len(steps)] = Chunk(name, 0, columns)
        collected[name] = item
        parent = name
    return from_collected(collected)


def pieces_of(plan: list[tuple[int, int, int]], batch: int) -> list[tuple[int, int, int]]:
    """For :func:`attempts_of`, out of (steps back from the last one, steps forward, batches at
    the start) each.
    """
    pieces: list[tuple[int, int, int]] = []
    step = 0
    for back, forward, start in plan:
        begin = max(0, step - back) if pieces else 0
        pieces.append((begin, begin + forward, start * batch if pieces else 0))
        step = begin + forward
    return pieces


def reads_of(found: Any, stop: int | None = None) -> list[Any]:
    """What an attempt read in its first ``stop`` rows, as ranges of each pass."""
    return in_epochs(spans_of(found, stop), scale_of(found.attempt))
