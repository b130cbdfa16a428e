"""The routes of http_api.md: from arguments to the library's objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ckptscope.errors import (
    CheckpointChangedError,
    CheckpointNotFoundError,
    CkptscopeError,
    UnsupportedFormatError,
    UsageError,
)


class Tab(Protocol):
    """What routes ask of the plugin."""

    @property
    def store(self) -> Any:
        """All runs (:class:`tensorboard_plugin_ckptscope.store.Store`)."""

    @property
    def logdir(self) -> str | None:
        """As given."""

    @property
    def notes(self) -> list[str]:
        """What a user should know of where runs are looked for."""


Arguments = Mapping[str, str]
Answer = Callable[[Tab, Arguments], Any]
_MOST_POINTS = 20_000


class Refused(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error becomes on the wire."""

    status: int
    message: str
    hint: str | None = None


_STATUSES: tuple[tuple[type[CkptscopeError], int, str | None], ...] = (
    (CheckpointChangedError, 410, "try again in a moment"),
    (CheckpointNotFoundError, 410, "reload: it was removed"),
    (UsageError, 400, None),
    (UnsupportedFormatError, 422, None),
    (CkptscopeError, 422, "ckptscope verify tells which bytes are damaged"),
)


def failure_of(error: Exception) -> Failure:
    """Status, message and hint of an error."""
    if isinstance(error, Refused):
        return Failure(error.status, error.message, error.hint)
    for kind, status, hint in _STATUSES:
        if isinstance(error, kind):
            return Failure(status, str(error), hint)
    if isinstance(error, OSError):
        return Failure(422, f"cannot be read: {error.strerror or error}")
    return Failure(
        500, f"{type(error).__name__}: {error}", "please report this, with TensorBoard's output"
    )


def _text(arguments: Arguments, name: str) -> str:
    value = arguments.get(name)
    if value is None or value == "":
        raise Refused(400, f"the argument {name} is missing")
    return value


def _choice(arguments: Arguments, name: str, choices: tuple[str, ...]) -> Any:
    value = arguments.get(name, choices[0])
    if value not in choices:
        raise Refused(400, f"{name} is one of {', '.join(choices)}")
    return value


def _number(arguments: Arguments, name: str, default: float | None = None) -> float | None:
    value = arguments.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except ValueError:
        raise Refused(400, f"{name} is a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise Refused(400, f"{name} is a finite number")
    return number


def _integer(arguments: Arguments, name: str, default: int | None, least: int, most: int) -> int:
    value = _number(arguments, name, default)
    if value is None:
        raise Refused(400, f"the argument {name} is missing")
    if value != int(value) or value < least:
        raise Refused(400, f"{name} is an integer from {least} on")
    return min(int(value), most)


def _run(tab: Tab, arguments: Arguments) -> Any:
    name = _text(arguments, "run")
    try:
        return tab.store.run(name)
    except KeyError:
        raise _missing(tab, f"no run is named {name}") from None


def _missing(tab: Tab, message: str) -> Refused:
    if tab.store.scan_state().state == "running":
        return Refused(
            503,
            f"{message}, or it was not found yet",
            "runs are still being looked for; try again in a moment",
        )
    return Refused(404, message, "it may have been removed; reload the page")


def _path(tab: Tab, arguments: Arguments, name: str) -> str:
    try:
        path: str = tab.store.path(_text(arguments, name))
    except KeyError:
        raise _missing(tab, "no such checkpoint") from None
    return path


def overview(tab: Tab, arguments: Arguments) -> Any:
    """All runs; looks for new ones in the background."""
    from ckptscope.render.run_json import overview_to_jsonable

    del arguments
    tab.store.refresh()
    scan = tab.store.scan_state().to_jsonable()
    return overview_to_jsonable(
        tab.store.summaries(), logdir=tab.logdir, scan=scan, notes=tab.notes
    )


def series(tab: Tab, arguments: Arguments) -> Any:
    """What the plot shows."""
    from ckptscope.render.run_json import plot_to_jsonable
    from ckptscope.runs.plot import POINTS, position_plot

    first, last = _number(arguments, "from"), _number(arguments, "to")
    visible = None
    if first is not None or last is not None:
        visible = (
            first if first is not None else float("-inf"),
            last if last is not None else float("inf"),
        )
        if visible[0] > visible[1]:
            raise Refused(400, "from is greater than to")
    run = _run(tab, arguments)
    plot = position_plot(
        run,
        y=_choice(arguments, "y", ("examples", "epoch", "record")),
        x=_choice(arguments, "x", ("step", "time")),
        reads=_choice(arguments, "reads", ("effective", "all")),
        visible=visible,
        points=_integer(arguments, "n", POINTS, 2, _MOST_POINTS),
    )
    return plot_to_jsonable(run.name, plot)


def coverage(tab: Tab, arguments: Arguments) -> Any:
    """How often each part of the data was read."""
    from ckptscope.render.run_json import coverage_to_jsonable
    from ckptscope.runs.coverage import MANY_FILES, coverage_table

    reads = _choice(arguments, "reads", ("effective", "all"))
    limit = _integer(arguments, "limit", MANY_FILES, 1, 2000)
    run = _run(tab, arguments)
    return coverage_to_jsonable(run.name, coverage_table(run, reads=reads, limit=limit))


def checkpoints(tab: Tab, arguments: Arguments) -> Any:
    """The contract's history of a run."""
    from ckptscope.render.run_json import checkpoints_to_jsonable

    return checkpoints_to_jsonable(_run(tab, arguments))


def inspect(tab: Tab, arguments: Arguments) -> Any:
    """The contract's object of one checkpoint."""
    from ckptscope.inspection import inspect as look
    from ckptscope.render.jsonable import inspection_to_jsonable

    wanted = _choice(arguments, "variables", ("true", "false"))
    found = look(_path(tab, arguments, "id"))
    return inspection_to_jsonable(found, with_variables=wanted == "true")


def diff(tab: Tab, arguments: Arguments) -> Any:
    """The contract's object of two checkpoints."""
    from ckptscope.comparison.compare import MEASURED_NBYTES
    from ckptscope.comparison.compare import diff as compare
    from ckptscope.inspection import open_checkpoint
    from ckptscope.render.diff_json import diff_to_jsonable

    most = _integer(arguments, "limit", None, 1, _MOST_POINTS) if "limit" in arguments else None
    a, b = _path(tab, arguments, "a"), _path(tab, arguments, "b")
    with open_checkpoint(a) as first, open_checkpoint(b) as second:
        measured = first.nbytes + second.nbytes <= MEASURED_NBYTES
    with compare(a, b, measured=measured) as comparison:
        return diff_to_jsonable(comparison.collect(), most=most)


def state(tab: Tab, arguments: Arguments) -> Any:
    """Where the data stood after one step."""
    from ckptscope.inspection import inspect as look
    from ckptscope.render.run_json import moment_to_jsonable
    from ckptscope.runs.moment import moment_of, training_stages

    attempt = _text(arguments, "attempt")
    step = _integer(arguments, "step", None, 0, 1 << 62)
    run = _run(tab, arguments)
    try:
        moment = moment_of(run, attempt, step)
    except KeyError:
        raise Refused(404, f"attempt {attempt} has no step up to {step:,}") from None
    try:
        stages = (
            () if moment.checkpoint is None else training_stages(look(moment.checkpoint.row.path))
        )
    except CkptscopeError:  # it was judged unreadable; its row says why
        stages = ()
    return moment_to_jsonable(run.name, moment, stages)


ROUTES: dict[str, Answer] = {
    "overview": overview,
    "series": series,
    "coverage": coverage,
    "checkpoints": checkpoints,
    "inspect": inspect,
    "diff": diff,
    "state": state,
}
