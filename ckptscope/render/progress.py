"""A progress bar on stderr for what takes longer than a second: bytes or items, rate, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_PATIENCE_S = 1.0
_EVERY_S = 0.1


@dataclass
class Bar:
    """Counts bytes or items; draws itself once a second has gone by. ``total`` may be set at
    any time; 0 is unknown.
    """

    words: str
    counts_items: bool = False
    total: int = 0
    done: int = 0
    _started_s: float = field(default_factory=time.monotonic)
    _drawn_s: float = 0.0
    _drawing: Any = None

    def advance(self, amount: int) -> None:
        """So much more is done."""
        self.done += amount
        now = time.monotonic()
        if now - self._started_s < _PATIENCE_S or now - self._drawn_s < _EVERY_S:
            return
        self._drawn_s = now
        if self._drawing is None:
            self._drawing = self._opened()
        self._drawing.update(
            self._drawing.task_ids[0], completed=self.done, total=self.total or None
        )

    def _opened(self) -> Any:
        # Imported only where something takes long.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        amount = (
            (MofNCompleteColumn(),)
            if self.counts_items
            else (DownloadColumn(), TransferSpeedColumn())
        )
        columns = (TextColumn("{task.description}"), BarColumn(20), *amount, TimeRemainingColumn())
        drawing = Progress(*columns, console=Console(file=sys.stderr), transient=True)
        drawing.add_task(self.words, total=self.total or None)
        drawing.start()
        return drawing

    def close(self) -> None:
        """Remove the bar and give the cursor back."""
        if self._drawing is not None:
            self._drawing.stop()


@contextmanager
def progress(words: str, *, counts_items: bool = False) -> Iterator[Bar | None]:
    """A bar while something runs; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = Bar(words, counts_items)
    try:
        yield bar
    finally:
        bar.close()


def advance_of(bar: Bar | None) -> Callable[[int], None] | None:
    """What to call with what is done."""
    return None if bar is None else bar.advance
