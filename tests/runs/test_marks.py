"""What stands beside the lines: checkpoints that are gone, and how far bands reach."""

from __future__ import annotations

import shutil

import pytest

from ckptscope.runs.plot import position_plot
from ckptscope.runs.summary import summary_of
from tests import samples
from tests.runs.made import at, only_run, record, restarted


@pytest.fixture
def partly_gone(tmp_path):
    """Three checkpoints are recorded, the newest two are there, and one that nobody recorded."""
    for suffix in ("index", "data-00000-of-00001"):
        for number in (4, 8, 12):
            shutil.copy(samples.ROOT / "manager_run_221" / f"ckpt-{number}.{suffix}", tmp_path)
    record(tmp_path, range(1, 13), saves=[2, 8, 12])
    return tmp_path


def test_checkpoints_that_are_gone_are_counted_apart(partly_gone):
    found = summary_of(only_run(partly_gone))
    assert (found.num_checkpoints, found.num_gone) == (3, 1)
    assert sum(found.verdicts.values()) == 3


def test_checkpoints_that_are_gone_are_marked(partly_gone):
    marks = position_plot(only_run(partly_gone), reads="all").checkpoints
    assert [(mark.step, mark.is_gone) for mark in marks] == [
        (2, True),
        (4, False),
        (8, False),
        (12, False),
    ]


# Where the data of a restart from step 20 (80 examples, epoch 1 of 40 is read to its end) goes on,
# and the steps beside which its skipped bands lie: four examples a step, ten steps an epoch.
BESIDE = [
    (at(100), [(20.0, 25.0)]),  # 80..99 of epoch 2, which ends at step 25
    (at(120), [(20.0, 21.0)]),  # all of epoch 2: it was never read, so the jump alone
]


@pytest.mark.parametrize(("start", "beside"), BESIDE)
@pytest.mark.parametrize("axis", ["examples", "record"])
def test_bands_end_where_their_epoch_ends(tmp_path, axis, start, beside):
    restarted(tmp_path, 20, 20, 48, start)
    bands = position_plot(only_run(tmp_path), y=axis).bands
    assert [band.beside for band in bands] == beside


def test_bands_begin_with_their_epoch(tmp_path):
    """From step 15 on, in the middle of epoch 1 (steps 11 to 20), 8 examples are skipped."""
    restarted(tmp_path, 15, 15, 40, at(68))
    (band,) = position_plot(only_run(tmp_path), y="record").bands
    assert (band.start, band.stop) == (20, 28)
    assert band.beside == (11.0, 18.0)


def test_without_epochs_a_band_ends_with_its_attempt(tmp_path):
    restarted(tmp_path, 15, 15, 40, at(68), epoch_size=None)
    (band,) = position_plot(only_run(tmp_path)).bands
    assert band.beside == (15.0, 40.0)
