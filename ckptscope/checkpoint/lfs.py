"""Pointers that git-LFS leaves where a large file was not fetched.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: text of less than 1024 bytes,
its first line the version, one line ``size N``."""

from __future__ import annotations

import re

MAX_POINTER_NBYTES = 1023
_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/[^\n]*\n"
    rb"(?:[^\n]*\n)*?size (\d+)\r?(?:\n|$)"
)


def pointed_nbytes(data: bytes) -> int | None:
    """Size of the file that a pointer stands for; None where the bytes are not a pointer."""
    match = _POINTER.match(data) if len(data) <= MAX_POINTER_NBYTES else None
    return int(match[1]) if match else None


def pointer_problem(nbytes: int) -> str:
    """What is wrong and what to do, as a clause."""
    return f"is a git-LFS pointer, not the file ({nbytes:,} bytes): run `git lfs pull`"
