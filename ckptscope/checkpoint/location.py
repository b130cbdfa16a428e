"""One checkpoint on disk, before it is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.model import Checkpoint
from ckptscope.checkpoint.sliced_v1 import open_sliced
from ckptscope.checkpoint.stored_step import stored_step
from ckptscope.errors import CheckpointChangedError, CkptscopeError

RemarkKind = Literal[
    "no_state_file", "foreign_state_file", "numbers_restart", "unfinished_save", "step_or_number"
]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the directory that is worth telling and speaks against nothing."""

    kind: RemarkKind
    text: str


@dataclass(frozen=True, slots=True)
class Location:
    """One checkpoint on disk.

    Attributes:
        prefix: path without suffixes; for V1 the file (the first of several).
        format: ``tensor_bundle`` or ``sliced_v1``.
        chosen_because: the reason, as a clause.
        number: the number in its name, often the step; None if there is none.
        is_saved_model: it is the ``variables`` of a SavedModel.
        notes: what is wrong with the state file, for the checkpoint that it decides on.
        remarks: what else a person should know about the directory.
    """

    prefix: str
    format: str
    chosen_because: str
    number: int | None
    is_saved_model: bool = False
    notes: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def stored_step(self) -> int | None:
        """The step stored inside: the run's own, or else an optimizer's iterations. Read from
        the file, each time; None where there is none, or it cannot be read.
        """
        return stored_step(self.prefix, self.format)

    def fingerprint(self) -> tuple[int, int, int] | None:
        """Inode, size and time of the index; None where it is gone. Changes when the checkpoint
        is replaced.
        """
        try:
            status = os.stat(
                f"{self.prefix}.index" if self.format == "tensor_bundle" else self.prefix
            )
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def open(self) -> Checkpoint:
        """Open the checkpoint.

        Raises:
            CheckpointChangedError: it vanished or was replaced meanwhile, twice.
            CkptscopeError: it cannot be read.
        """
        for attempt in (1, 2):
            before = self.fingerprint()
            try:
                return (
                    open_bundle(self.prefix)
                    if self.format == "tensor_bundle"
                    else open_sliced(self.prefix)
                )
            except CkptscopeError:
                if before == self.fingerprint() and before is not None:
                    raise
            except FileNotFoundError:
                pass
            except OSError as error:
                raise CkptscopeError(
                    f"cannot be read: {error.strerror or error}", path=self.prefix
                ) from None
            if attempt == 2:
                raise CheckpointChangedError(
                    "is being written or removed right now; try again", path=self.prefix
                )
        raise AssertionError("unreachable")
