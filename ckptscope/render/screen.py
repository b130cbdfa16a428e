"""What all screens share: a console of at most 80 columns, headings, paragraphs, rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ckptscope.render import words

WIDTH = 80
VERDICT_STYLE = {
    "exact": "bold green",
    "approximate": "bold dark_orange3",
    "impossible": "bold red",
}


def console_for(file: IO[str], color: str = "auto", widest: int = WIDTH) -> Console:
    """A console of at most ``widest`` columns, 80 where it is no terminal; coloured only on
    terminals.

    NO_COLOR is honoured.
    """
    forced = {"always": True, "never": False}.get(color)
    plain = forced is False or (
        forced is None and (bool(os.environ.get("NO_COLOR")) or not file.isatty())
    )
    width = WIDTH
    if file.isatty():
        try:
            width = max(40, min(widest, os.get_terminal_size(file.fileno()).columns))
        except OSError:
            width = WIDTH
    return Console(
        file=file,
        width=width,
        force_terminal=not plain,
        no_color=plain,
        color_system=None if plain else "standard" if forced else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


@contextmanager
def trimmed(console: Console) -> Iterator[None]:
    """Print what is printed meanwhile without the blanks that tables leave at the ends of lines."""
    with console.capture() as capture:
        yield
    lines = capture.get().split("\n")
    console.file.write("\n".join(line.rstrip() for line in lines))
    console.file.flush()


def heading(console: Console, text: str) -> None:
    """A bold line after an empty one."""
    console.print()
    console.print(Text(words.printable(text), style="bold"))


def item(console: Console, text: Text | str, indent: int = 2) -> None:
    """One paragraph; everything that comes from files is freed of control characters first."""
    shown = Text(words.printable(text)) if isinstance(text, str) else text
    if words.printable(shown.plain) != shown.plain:
        shown = Text(words.printable(shown.plain))
    console.print(Padding(shown, (0, 0, 0, indent)))


def row(table: Table, *cells: str | Text) -> None:
    """A row of a table; text from files is freed of control characters."""
    table.add_row(*(words.printable(cell) if isinstance(cell, str) else cell for cell in cells))


def left_out(console: Console, count: int, what: str) -> None:
    """Say how many were not shown, if any."""
    if count > 0:
        item(console, f"and {count:,} more {what} (-v, or --format csv)")


def shorten(text: str, width: int) -> str:
    """Cut in the middle, where names differ least."""
    return (
        text if len(text) <= width else f"{text[: width // 2 - 1]}…{text[-(width - width // 2) :]}"
    )
