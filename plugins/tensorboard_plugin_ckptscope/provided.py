"""Recordings that TensorBoard's data provider has read: those of remote logdirs and of other data
servers.

TensorBoard keeps 100 points of a tag (10 without its data server); the recorder's tags hold less
than that."""

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
        """What changes when there is something new to read."""
        return self._series[place.name][1]

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


def _shown(run: str) -> str:
    """The run's name without the recorder's directory."""
    if run == DIRECTORY:
        return "."
    return run.removesuffix(f"/{DIRECTORY}")
