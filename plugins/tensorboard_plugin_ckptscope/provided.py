"""Recordings of the first releases, which were event files: of remote logdirs and of other data
servers TensorBoard's data provider has them.

TensorBoard keeps 100 points of a tag (10 without its data server); the recorder's tags held less
than that. Recordings of today are read by ``remote``."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from ckptscope.formats.event_file import PLUGIN_NAME, RecordedBytes
from ckptscope.recording.journal_files import DIRECTORY
from ckptscope.recording.model import RecordedAttempt
from ckptscope.recording.reader import collect_tensors
from ckptscope.runs.places import RunPlace

# Not 0, which would give nothing: thinning out a second time is not wanted.
_EVERYTHING = 2**31 - 1


class ProvidedRuns:
    """Runs of a data provider, as places without directories."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._series: dict[str, tuple[str, object]] = {}

    def places(self, without: Set[str]) -> list[RunPlace]:
        """Runs with recordings, apart from those that were found already."""
        listed = self._provider.list_tensors(
            self._context(), experiment_id="", plugin_name=PLUGIN_NAME
        )
        self._series = {
            _shown(run): (
                run,
                tuple(
                    sorted(
                        (tag, series.max_step, series.max_wall_time) for tag, series in tags.items()
                    )
                ),
            )
            for run, tags in listed.items()
        }
        return [RunPlace(name, name) for name in self._series if name not in without]

    def stamp(self, place: RunPlace) -> object:
        """What changes when there is something new to read; None for a run of somebody else."""
        found = self._series.get(place.name)
        return None if found is None else found[1]

    def read(self, place: RunPlace) -> tuple[RecordedAttempt, ...]:
        """All attempts of a run."""
        return collect_tensors(self._tensors(self._series[place.name][0]))

    def _tensors(self, run: str) -> Iterator[RecordedBytes]:
        from tensorboard.data.provider import RunTagFilter

        found = self._provider.read_tensors(
            self._context(),
            experiment_id="",
            plugin_name=PLUGIN_NAME,
            downsample=_EVERYTHING,
            run_tag_filter=RunTagFilter(runs=[run]),
        )
        for tag, points in found.get(run, {}).items():
            for point in points:
                value = point.numpy.item() if point.numpy.size == 1 else None
                if isinstance(value, bytes):
                    yield RecordedBytes(tag, point.step, point.wall_time, value)

    @staticmethod
    def _context() -> Any:
        from tensorboard.context import RequestContext

        return RequestContext()


class Elsewhere:
    """Runs that are not on this machine: of several sources, the first one that has a run."""

    def __init__(self, *sources: Any) -> None:
        self._sources = sources

    def places(self, without: Set[str]) -> list[RunPlace]:
        """Runs of all sources, each once."""
        found: dict[str, RunPlace] = {}
        for source in self._sources:
            found.update((place.name, place) for place in source.places({*without, *found}))
        return list(found.values())

    def stamp(self, place: RunPlace) -> object:
        """What changes when there is something new to read."""
        return self._of(place).stamp(place)

    def read(self, place: RunPlace) -> tuple[RecordedAttempt, ...]:
        """All attempts of a run."""
        attempts: tuple[RecordedAttempt, ...] = self._of(place).read(place)
        return attempts

    def _of(self, place: RunPlace) -> Any:
        return next(source for source in self._sources if source.stamp(place) is not None)


def _shown(run: str) -> str:
    """The run's name without the recorder's directory."""
    if run == DIRECTORY:
        return "."
    return run.removesuffix(f"/{DIRECTORY}")
