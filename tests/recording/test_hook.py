"""The hook's own copy of the layout is that of the package."""

from __future__ import annotations

import ast
import types
from pathlib import Path

import numpy as np
import pytest

from ckptscope.recording import columns, journal
from ckptscope.recording.columns import Chunk, decode, encode

SOURCE = Path(columns.__file__).with_name("estimator_hook.py")


def test_the_file_stands_alone_and_fits_old_python():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 7))
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "ckptscope" not in imported


@pytest.mark.tf
def test_its_chunks_are_ours():
    from ckptscope.recording import estimator_hook as hook

    assert (hook.COLUMNS, hook.SEALED_ROWS, hook.PER_TAG) == (
        columns.COLUMNS,
        journal.SEALED_ROWS,
        journal.PER_TAG,
    )
    rows = [(step, -1, step * 2, -1, 1_700_000_000_000 + step) for step in range(500)]
    writer = types.SimpleNamespace(_attempt="abc", _sealed=7)
    data = hook.DataPositionHook._chunk(writer, rows)
    table = np.array(rows, np.int64)
    ours = Chunk("abc", 7, {name: table[:, number] for number, name in enumerate(columns.COLUMNS)})
    assert data == encode(ours)
    assert decode(data).num_rows == 500
