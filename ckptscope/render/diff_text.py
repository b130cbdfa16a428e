"""A comparison for people: the answer, what is alarming, how far training and data moved, what
changed most.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ckptscope.checkpoint.object_keys import short_name
from ckptscope.render import diff_words, words
from ckptscope.render.screen import heading, item, left_out, row, shorten, trimmed

if TYPE_CHECKING:
    from ckptscope.comparison.model import Change, CheckpointDiff, IteratorChange

WIDEST = 160
_WIDE = 110
_TREE_LINES = 24
_TREE_NODES = 2000
_DEFAULT_TOP = 10
_STRUCTURAL = ("unreadable", "removed", "added", "dtype", "shape", "renamed")
_MAX_STRUCTURAL = 20
_KIND_STYLE = {"unreadable": "bold red", "removed": "red", "added": "green"}


def print_diff(
    found: CheckpointDiff,
    console: Console,
    *,
    verbosity: int = 0,
    stat: bool = False,
    top: int | None = None,
) -> None:
    """Print one comparison.

    Args:
        verbosity: -1 the headline only, 0 the usual, 1 everything.
        stat: one line for each group and the totals only.
        top: so many of the largest changes.
    """
    with trimmed(console):
        _print_headline(found, console)
        if verbosity < 0:
            return
        _print_sides(found, console, stat)
        _print_alarms(found, console)
        if not stat:
            _print_training(found, console, verbosity)
            _print_data(found, console)
            for iterator in found.iterators:
                _print_iterator(iterator, console)
        _print_groups(found, console)
        if stat:
            return
        _print_structure(found, console, verbosity)
        _print_tree(found, console, verbosity)
        _print_largest(
            found, console, top if top is not None else (10**9 if verbosity > 0 else _DEFAULT_TOP)
        )
        for note in found.notes:
            item(console, f"note: {note}", 0)


def _print_headline(found: CheckpointDiff, console: Console) -> None:
    style = "bold green" if found.summary.same else "bold dark_orange3"
    console.print(
        Text.assemble(
            (diff_words.verdict(found), style), "  ", words.printable(diff_words.headline(found))
        )
    )


def _print_sides(found: CheckpointDiff, console: Console, stat: bool) -> None:
    console.print()
    sides = zip(("A", "B"), (found.a, found.b), found.summary.verdicts, strict=True)
    for name, info, judged in sides:
        item(console, Text.assemble((f"{name}  ", "bold"), words.printable(info.path)), 0)
        if not stat:
            item(console, diff_words.side(info, judged), 3)
    item(console, f"rule: {found.rule.text}", 0)


def _print_alarms(found: CheckpointDiff, console: Console) -> None:
    if not found.summary.alarms:
        return
    heading(console, "Alarms")
    for alarm in found.summary.alarms:
        item(console, Text.assemble((alarm.code, "bold red"), f"  {words.printable(alarm.text)}"))


def _table(*columns: tuple[str, str, int]) -> Table:
    """A plain table of (title, alignment, largest width) columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title, justify, width in columns:
        table.add_column(
            title,
            justify="right" if justify == "right" else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=width,
        )
    return table


def _show(console: Console, table: Table) -> None:
    console.print(Padding(table, (0, 0, 0, 2)))


def _print_training(found: CheckpointDiff, console: Console, verbosity: int) -> None:
    changed = [change for change in found.training if change.changed or verbosity > 0]
    same = len(found.training) - len(changed)
    if not found.training:
        return
    heading(console, "Training state")
    side_by_side = console.width >= 60
    wide = console.width >= _WIDE
    name_width, value_width = (60, 28) if wide else (30, 13)
    columns = [("", "left", name_width)]
    if side_by_side:
        columns += [("A", "right", value_width), ("B", "right", value_width)]
    table = _table(*columns, ("", "left", 60 if wide else 22))
    for change in changed:
        values = [change.old or "", change.new or ""] if side_by_side else []
        name = change.name if change.component != "slots" else f"slots {change.name}"
        row(table, shorten(name, name_width), *values, change.text)
    if changed:
        _show(console, table)
    if same:
        item(console, f"{words.plural(same, 'part')} the same (-v lists them)")


def _print_data(found: CheckpointDiff, console: Console) -> None:
    rows = list(diff_words.position_rows(found))
    heading(console, "Position in the data")
    if any(name != "step" for name, *_ in rows):
        table = _table(
            ("", "left", 24), ("A", "right", 18), ("B", "right", 18), ("moved", "right", 18)
        )
        for cells in rows:
            row(table, *cells)
        _show(console, table)
    for source in found.summary.sources:
        moved = "" if source.records_delta is None else f" ({source.records_delta:+,})"
        old, new = (
            "?" if value is None else f"{value:,}"
            for value in (source.old_record, source.new_record)
        )
        item(
            console,
            f"{source.op} {source.file}: next record {old}, then {new}{moved}, reading ahead "
            "included",
        )
    reasons: dict[str, list[str]] = {}
    for name, reason in found.summary.reasons.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        item(console, f"not known: {', '.join(names)}: {reason}")


def _print_iterator(iterator: IteratorChange, console: Console) -> None:
    heading(console, f"Pipeline of {iterator.key}")
    words_ = {"same": "goes on alike", "moved": "moved", "undecoded": "not decoded"}.get(
        iterator.kind, iterator.kind
    )
    item(console, f"{words_}: {iterator.why}")
    if iterator.same or not iterator.stages:
        return
    table = _table(
        ("stage", "left", 30), ("what happened", "left", 100 if console.width >= _WIDE else 44)
    )
    for stage in reversed(iterator.stages):
        row(table, stage.title, stage.text)
    _show(console, table)


def _print_groups(found: CheckpointDiff, console: Console) -> None:
    heading(console, "Variables by role")
    table = _table(
        ("role", "left", 16), ("variables", "left", 34), ("elements changed", "right", 28)
    )
    changed = elements = 0
    for group in found.groups:
        counted = (
            f"{group.num_elements_changed:,} of {group.num_elements:,}"
            if group.role != "iterator"
            else ""
        )
        row(table, group.role.replace("_", " "), diff_words.totals(group), counted)
        if group.role not in ("iterator", "bookkeeping"):
            changed, elements = changed + group.num_elements_changed, elements + group.num_elements
    counting = [change for change in found.changes if change.counts]
    total = sum(group.num_equal + sum(group.counted.values()) for group in found.groups)
    row(
        table,
        Text("total", style="bold"),
        f"{len(counting):,} of {total:,} different",
        f"{changed:,} of {elements:,}",
    )
    _show(console, table)


def _print_structure(found: CheckpointDiff, console: Console, verbosity: int) -> None:
    """What numbers do not tell: added, removed, renamed, other dtype or shape, unreadable."""
    changes = sorted(
        (change for change in found.changes if change.kind in _STRUCTURAL or change.stats is None),
        key=lambda change: (
            _STRUCTURAL.index(change.kind) if change.kind in _STRUCTURAL else len(_STRUCTURAL)
        ),
    )
    changes = [change for change in changes if change.role != "iterator" or change.kind != "value"]
    if not changes:
        return
    heading(console, "Not only values")
    shown = changes if verbosity > 0 else changes[:_MAX_STRUCTURAL]
    for change in shown:
        style = _KIND_STYLE.get(change.kind, "")
        name = words.printable(diff_words.shown_name(change))
        item(console, Text.assemble(name, (f"  {words.printable(diff_words.what(change))}", style)))
    left_out(console, len(changes) - len(shown), "such changes")


# ------------------------------------------------------------ tree


@dataclass(slots=True)
class _Node:
    """A part of the variables' paths, with totals of everything below it; ``deeper`` paths are
    not opened.
    """

    children: dict[str, _Node] = field(default_factory=dict)
    equal: int = 0
    changed: int = 0
    rel_l2: float | None = None
    deeper: bool = False

    def add(self, change: Change | None) -> None:
        self.equal += change is None
        self.changed += change is not None
        if change is not None and change.stats is not None and change.stats.rel_l2 is not None:
            self.rel_l2 = max(self.rel_l2 or 0.0, change.stats.rel_l2)


def _tree(found: CheckpointDiff, depth: int, most: int) -> _Node | None:
    """The variables' paths down to a depth; None where that takes more nodes than ``most``."""
    root, count = _Node(), 0
    every = itertools.chain(
        ((key, None) for key in found.equal_keys),
        ((change.key, change) for change in found.changes),
    )
    for key, change in every:
        node = root
        parts = short_name(key).split("/", depth)
        for part in parts[:depth]:
            below = node.children.get(part)
            if below is None:
                below = node.children[part] = _Node()
                count += 1
            node = below
            node.add(change)
        node.deeper |= len(parts) > depth
        if count > most:
            return None
    return root


def _lines(node: _Node, indent: int = 0) -> Iterable[tuple[str, _Node]]:
    """Lines of a tree; unchanged subtrees are one line, single children share one."""
    for name, child in node.children.items():
        while len(child.children) == 1 and child.changed:
            part, child = next(iter(child.children.items()))
            name += f"/{part}"
        yield "  " * indent + name + ("/" if child.children or child.deeper else ""), child
        if child.changed:
            yield from _lines(child, indent + 1)


def _print_tree(found: CheckpointDiff, console: Console, verbosity: int) -> None:
    if not found.changes:
        return
    lines: list[tuple[str, _Node]] = []
    for depth in range(1, 33):
        root = _tree(found, depth, 10**9 if verbosity > 0 or depth == 1 else _TREE_NODES)
        deeper = [] if root is None else list(_lines(root))
        if (
            root is None
            or deeper == lines
            or (len(deeper) > _TREE_LINES and verbosity <= 0 and lines)
        ):
            break
        lines = deeper
        if not any(node.deeper for _, node in lines):
            break
    heading(console, "Where")
    shown = lines if verbosity > 0 else lines[:_TREE_LINES]
    width = 70 if console.width >= _WIDE else 40
    table = _table(
        ("path", "left", width), ("variables", "left", 26), ("rel L2 up to", "right", 12)
    )
    for name, node in shown:
        counted = [
            f"{node.changed:,} changed" if node.changed else "",
            f"{node.equal:,} equal" if node.equal else "",
        ]
        largest = diff_words.measure(node.rel_l2) if node.changed else ""
        row(table, shorten(name, width), ", ".join(part for part in counted if part), largest)
    _show(console, table)
    left_out(console, len(lines) - len(shown), "lines")


def _print_largest(found: CheckpointDiff, console: Console, top: int) -> None:
    changes = diff_words.largest(found.changes)
    if not changes or top <= 0:
        return
    heading(console, "Largest relative changes (of B against A)")
    wide = console.width >= _WIDE
    width = 62 if wide else 30
    more = [("dtype", "left", 12), ("shape", "left", 16)] if wide else []
    table = _table(
        ("variable", "left", width),
        *more,
        ("elements", "right", 24 if wide else 16),
        ("max abs", "right", 9),
        ("max rel", "right", 8),
        ("rel L2", "right", 8),
        *([("cosine", "right", 10)] if wide or console.width >= 78 else []),
    )
    for change in changes[:top]:
        stats = change.stats
        assert stats is not None
        cells = [shorten(diff_words.shown_name(change), width)]
        cells += [change.dtype, words.shape(change.shape)] if wide else []
        cells += [
            _elements(stats.num_changed, stats.num_elements),
            *(diff_words.measure(value) for value in (stats.max_abs, stats.max_rel, stats.rel_l2)),
        ]
        if len(table.columns) > len(cells):
            cells.append(diff_words.cosine(stats.cosine))
        row(table, *cells)
        if diff_words.special(stats):
            row(table, Text(f"  {diff_words.special(stats)}", style="dark_orange3"))
    _show(console, table)
    left_out(console, len(changes) - top, "variables")


def _elements(changed: int | None, total: int) -> str:
    """``all 37`` or ``3 of 37``, short."""
    if changed is None:
        return f"? of {total:,}"
    return f"all {total:,}" if changed == total else f"{_short(changed)} of {_short(total)}"


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 100 * size or (unit != "k" and count >= 10 * size):
            return f"{count / size:.0f}{unit}"
    return f"{count:,}"
