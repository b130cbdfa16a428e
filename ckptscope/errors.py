"""The errors that ckptscope raises, all under one root.

::

    CkptscopeError
    ├── CheckpointNotFoundError (also FileNotFoundError)   nothing readable at that path; names what
    is nearby ├── CheckpointChangedError                             replaced or removed while it
    was being read ├── MissingShardError                                  index present, a data file
    absent ├── LfsPointerError                                    a git-LFS pointer instead of the
    file ├── CorruptCheckpointError                             bytes contradict the format: file,
    structure, offset │   ├── TruncatedError                                 the file ends before
    the structure does │   ├── ChecksumMismatchError                          stored and computed
    CRC-32C differ │   └── MalformedMessageError                          a protobuf message or
    table entry that cannot be read ├── UnsupportedFormatError                             a format
    or dtype that this version does not read ├── TensorNotFoundError (also LookupError)
    no such checkpoint key; names the closest ones ├── IteratorStateError
    an iterator state that cannot be decoded └── UsageError
    arguments that contradict each other

Catch :class:`CkptscopeError` to catch everything that a file can cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CkptscopeError(Exception):
    """Root of all errors. ``code`` is stable; ``path`` names the file or directory, if there is
    one.
    """

    code = "ERROR"

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return (
            self.message
            if self.path is None or self.path in self.message
            else f"{self.path}: {self.message}"
        )


class CheckpointNotFoundError(CkptscopeError, FileNotFoundError):
    """There is no checkpoint at the given path."""

    code = "NOT_FOUND"


class CheckpointChangedError(CkptscopeError):
    """The checkpoint was replaced or removed while it was being read."""

    code = "BEING_WRITTEN"


class MissingShardError(CkptscopeError):
    """The index is there, a data file that it refers to is not."""

    code = "MISSING_SHARD"


class LfsPointerError(CkptscopeError):
    """A git-LFS pointer where the file itself should be."""

    code = "LFS_POINTER"


class CorruptCheckpointError(CkptscopeError):
    """Bytes that contradict the format. ``offset`` counts from the start of the file, in bytes."""

    code = "CORRUPT"

    def __init__(
        self,
        problem: str,
        *,
        path: str | None = None,
        structure: str | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(problem, path=path)
        self.structure = structure
        self.offset = offset

    def __str__(self) -> str:
        where = "".join(
            (
                f"{self.path}: " if self.path else "",
                f"{self.structure}" if self.structure else "",
                f" at byte {self.offset}" if self.offset is not None else "",
                ": " if self.structure or self.offset is not None else "",
            )
        )
        return f"{where}{self.message}"


class TruncatedError(CorruptCheckpointError):
    """The file ends before the structure does."""

    code = "TRUNCATED"


class ChecksumMismatchError(CorruptCheckpointError):
    """Stored and computed CRC-32C differ."""

    code = "CHECKSUM"


class MalformedMessageError(CorruptCheckpointError):
    """A protobuf message or table entry that cannot be read."""

    code = "MALFORMED"


class UnsupportedFormatError(CkptscopeError):
    """A file format, dtype or byte order that this version does not read."""

    code = "UNSUPPORTED"


class TensorNotFoundError(CkptscopeError, LookupError):
    """No such checkpoint key."""

    code = "NO_SUCH_TENSOR"


class IteratorStateError(CkptscopeError):
    """An iterator state that cannot be decoded; ``key`` is its checkpoint key."""

    code = "ITERATOR_STATE"

    def __init__(self, message: str, *, path: str | None = None, key: str | None = None) -> None:
        super().__init__(message if key is None else f"{key}: {message}", path=path)
        self.key = key


class UsageError(CkptscopeError):
    """Arguments that contradict each other or cannot be understood."""

    code = "USAGE"


@contextmanager
def reading(path: str, structure: str, base: int = 0) -> Iterator[None]:
    """Complete errors raised by decoders, which know offsets within their piece of bytes only.

    Args:
        path: file that the bytes came from.
        structure: what was being read, in words.
        base: offset of the piece in the file, in bytes.
    """
    try:
        yield
    except CorruptCheckpointError as error:
        error.path = error.path or path
        if error.structure is None:
            error.structure = structure
            error.offset = base + (error.offset or 0)
        raise
