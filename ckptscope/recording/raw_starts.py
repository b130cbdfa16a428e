"""Starts of attempts whose writer could store the iterator's state, but not decode it: ``portable``.

Such a writer stores the state as its attempt begins, and again behind its first step. What another
hook restores in between is only in the second, which therefore decides."""

from __future__ import annotations

import base64
import dataclasses
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ckptscope.iterator.position import Hints
from ckptscope.recording.live_iterator import DecodedState, decode_bundle, start_of
from ckptscope.recording.model import Attempt, RecordedAttempt, Start

Files = Mapping[str, bytes]
Notes = Mapping[str, Any]

_ANOTHER_PIPELINE = (
    "the input pipeline is not that of the attempt before (another skip, slice or list of files): "
    "give start= to say where its data begins"
)
_ALIKE = (
    "the checkpoint lies at the end of an epoch, where this TensorFlow's state of a restored "
    "iterator is that of a new one"
)


@dataclasses.dataclass(frozen=True, slots=True)
class RawStates:
    """What one attempt stored.

    Attributes:
        start: files of the state as the attempt began; None where there are none.
        first: those behind its first step, which took ``batches``.
        pipeline: fingerprint of the input pipeline.
    """

    start: Files | None
    first: Files | None
    batches: int
    pipeline: str | None


def raw_states(notes: list[dict[str, Any]], header: Notes, problems: list[str]) -> RawStates:
    """From the notes and the header of an attempt; what cannot be read becomes a problem."""
    found: dict[str, Files] = {}
    batches = 1
    for note in notes:
        try:
            files = {
                os.path.basename(name): base64.b64decode(data)
                for name, data in dict(note["files"]).items()
            }
            found[str(note["when"])] = files
            if note["when"] == "first":
                batches = int(note["batches"])
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"the stored iterator state: {error}")
    pipeline = header.get("pipeline")
    return RawStates(
        found.get("start"),
        found.get("first"),
        batches,
        pipeline if isinstance(pipeline, str) else None,
    )


def with_raw_starts(
    attempts: list[RecordedAttempt], states: Mapping[str, RawStates]
) -> Iterator[RecordedAttempt]:
    """Attempts, in the order in which they started, with the starts that their states tell; an
    iterator like that of step 0 is new.
    """
    fresh: RawStates | None = None
    pipelines: dict[str, str] = {}
    for found in attempts:
        attempt, own = found.attempt, states.get(found.attempt.id)
        before = pipelines.get(attempt.kind)
        if own is not None and own.pipeline is not None:
            pipelines[attempt.kind] = own.pipeline
        if own is None or own.start is None or attempt.start.batches is not None:
            fresh = own if own is not None and attempt.start.source == "fresh" else fresh
            yield found
            continue
        if own.pipeline is not None and before not in (None, own.pipeline):
            start = Start(reason=_ANOTHER_PIPELINE)
        else:
            start = _start(attempt, own, fresh)
        # Its writer did not know the start, and counted from 0.
        batches = found.columns["batches"] + (start.batches or 0)
        yield dataclasses.replace(
            found,
            attempt=dataclasses.replace(attempt, start=start),
            columns={**found.columns, "batches": batches},
        )


def _start(attempt: Attempt, own: RawStates, fresh: RawStates | None) -> Start:
    assert own.start is not None
    was_new = fresh is not None and _data(own.start) == _data(fresh.start)
    as_it_began = _decoded(attempt, own.start, 0)
    if _skips(as_it_began) and not (
        fresh is not None and fresh.start is not None and _skips(_decoded(attempt, fresh.start, 0))
    ):
        return Start(reason=_ANOTHER_PIPELINE)
    at_start = Start(0, 0, 0, 0, "fresh") if was_new else start_of(as_it_began)
    if own.first is None:
        return at_start
    behind = start_of(_decoded(attempt, own.first, own.batches))
    if was_new and fresh is not None and _data(own.first) == _data(fresh.first):
        if behind.batches in (None, own.batches):
            return at_start
        # The step, which completes what the state does not hold, speaks for a restored one.
        return Start(reason=_ALIKE)
    if behind.batches is None:
        return Start(reason=behind.reason)
    if at_start.batches in (behind.batches, behind.batches - own.batches):
        # The same: the first run of a session may also have taken nothing.
        return at_start
    if behind.batches < own.batches:
        return Start(reason="the iterator's state contradicts the batches that were counted")
    return Start(behind.batches - own.batches, source="decoded")


def _skips(state: DecodedState) -> bool:
    """A skip lies in the pipeline; what it leaves out is not in the state."""
    root = state.tree.root if state.tree is not None else None
    return root is not None and any("Skip" in stage.op for stage in root.walk())


def _decoded(attempt: Attempt, files: Files, batches: int) -> DecodedState:
    """The position in a state that was stored so many batches after the restored step."""
    hints = Hints(attempt.batch_size, attempt.epoch_size)
    step = None if attempt.restored_step is None else attempt.restored_step + batches
    try:
        with tempfile.TemporaryDirectory(prefix="ckptscope-") as directory:
            for name, data in files.items():
                with open(os.path.join(directory, name), "wb") as file:
                    file.write(data)
            return decode_bundle(os.path.join(directory, "state"), hints, step)
    except (OSError, ValueError) as error:
        return DecodedState(None, None, str(error))


def _data(files: Files | None) -> bytes | None:
    if files is None:
        return None
    return b"".join(data for name, data in sorted(files.items()) if ".data-" in name)
