"""Damaged files end in a value or a CkptscopeError, soon and in little memory; and never in a
good verdict.
"""

from __future__ import annotations

import io
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckptscope.checkpoint.discover import find
from ckptscope.checkpoint.model import OBJECT_GRAPH_KEY
from ckptscope.errors import CkptscopeError
from ckptscope.inspection import Inspection, inspect
from ckptscope.render.screen import console_for
from ckptscope.render.tabular import inspection_markdown, variables_csv
from ckptscope.render.text import print_inspection
from tests import samples, writers
from tests.conftest import EXPLORE

MAX_SECONDS = 5
MAX_NBYTES = 3 << 30


def scaled(examples: int) -> int:
    return examples * (EXPLORE or 1)


@contextmanager
def bounded() -> Iterator[None]:
    """An absurd allocation raises MemoryError, which no caller of the library expects."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MAX_NBYTES, hard))
    start = time.monotonic()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.monotonic() - start < MAX_SECONDS


def look(path: str, *, show_elements: bool = True, **options: bool) -> Inspection | CkptscopeError:
    """Everything that a person can ask for."""
    with bounded():
        try:
            found = inspect(path, show_elements=show_elements, **options)
        except CkptscopeError as error:
            str(error)
            return error
        found.to_json()
        print_inspection(found, console_for(io.StringIO()), 1)
        inspection_markdown(found)
        variables_csv(found)
        found._repr_html_()
    return found


def is_good(outcome: Inspection | CkptscopeError) -> bool:
    return isinstance(outcome, Inspection) and outcome.resume.verdict == "exact"


SAMPLES = tuple(
    """
    full_221 saver_v1_115 saver_iterator_115 full_24 estimator_hook_115 sharded_115
    savedmodel_215 partitioned_115
    """.split()
)


@cache
def files_of(name: str) -> tuple[tuple[str, int], ...]:
    root = samples.ROOT / name
    found = (
        (str(path.relative_to(root)), path.stat().st_size)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    )
    return tuple((file, size) for file, size in found if size)


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict[str, Path]:
    into = tmp_path_factory.mktemp("samples")
    return {name: samples.copy(name, into) for name in SAMPLES}


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """(sample, file, its bytes with one flipped byte or cut off)."""
    name = draw(st.sampled_from(SAMPLES))
    # Graphs and state files are large or dull: draw them less often.
    files = files_of(name)
    often = [
        item
        for item in files
        if not item[0].endswith((".meta", ".pb", "checkpoint", "checkpoint_input"))
    ]
    file, size = draw(st.sampled_from(often * 3 + list(files)))
    data = bytearray((samples.ROOT / name / file).read_bytes())
    offset = draw(st.integers(0, size - 1))
    if draw(st.booleans()):
        data[offset] ^= draw(st.integers(1, 255))
        return name, file, bytes(data)
    return name, file, bytes(data[:offset])


@settings(max_examples=scaled(400))
@given(damage=damages(), stats=st.booleans())
def test_flipped_or_cut_anywhere(copies, damage, stats):
    name, file, data = damage
    path = copies[name] / file
    intact = path.read_bytes()
    path.write_bytes(data)
    try:
        look(str(copies[name]), stats=stats)
    finally:
        path.write_bytes(intact)


def stored_spans(prefix: str) -> list[tuple[str, int, int]]:
    """(file, first byte, bytes) of each stored tensor of a bundle."""
    with find(prefix).open() as checkpoint:
        parts = (
            part
            for entry in checkpoint.entries.values()
            for part in ([p for _, p in entry.slices] or [entry])
        )
        return [
            (checkpoint.reader.path(part.shard), part.offset, part.nbytes)
            for part in parts
            if part.nbytes
        ]


# Prefixes whose tensors decide; for the Estimator those of its input partner as well.
EXACT = (
    "full_221/ckpt-1",
    "full_24/ckpt-1",
    "saver_iterator_115/model.ckpt-7",
    "sharded_115/model.ckpt-7",
    "partitioned_115/model.ckpt-7",
    "estimator_hook_115/model.ckpt-7",
    "estimator_hook_115/input.ckpt-7",
)


@pytest.mark.parametrize("prefix", EXACT)
def test_flipped_byte_of_a_tensor_is_never_exact(copies, prefix):
    """First, middle and last byte of each tensor; restoring would raise, so nothing is better
    than impossible.
    """
    name = prefix.split("/")[0]
    directory = copies[name]
    assert is_good(inspect(str(directory)))
    for file, offset, nbytes in stored_spans(str(copies[name] / prefix.split("/")[1])):
        path = Path(file)
        intact = path.read_bytes()
        for place in {offset, offset + nbytes // 2, offset + nbytes - 1}:
            damaged = bytearray(intact)
            damaged[place] ^= 0x04
            path.write_bytes(damaged)
            try:
                outcome = look(str(directory))
            finally:
                path.write_bytes(intact)
            assert isinstance(outcome, Inspection), place
            assert outcome.resume.verdict == "impossible", (file, place)
            assert outcome.checkpoint.complete is False
            assert any(finding.status == "damaged" for finding in outcome.resume.findings)
            position = outcome.resume.position
            assert (position.batches_consumed, position.examples_consumed, position.epoch) == (
                None,
                None,
                None,
            )


def test_flipped_byte_of_a_v1_block_is_impossible(copies):
    path = copies["saver_v1_115"] / "model.ckpt-7"
    intact = path.read_bytes()
    with find(str(path)).open() as checkpoint:
        handles = checkpoint.reader.tables[0].handles
    assert handles
    for handle in handles[1:]:
        damaged = bytearray(intact)
        damaged[handle.offset + handle.nbytes // 2] ^= 1
        path.write_bytes(damaged)
        outcome = look(str(copies["saver_v1_115"]))
        path.write_bytes(intact)
        assert isinstance(outcome, Inspection)
        assert outcome.resume.verdict == "impossible"


@settings(max_examples=scaled(80))
@given(st.data())
def test_cut_or_missing_files_of_an_exact_sample_are_never_exact(copies, data):
    name = data.draw(st.sampled_from(("full_221", "saver_iterator_115", "sharded_115")))
    files = [
        (file, size) for file, size in files_of(name) if file.endswith(".index") or ".data-" in file
    ]
    file, size = data.draw(st.sampled_from(files))
    keep = data.draw(st.integers(-1, size - 1))
    path = copies[name] / file
    intact = path.read_bytes()
    if keep < 0:
        path.unlink()
    else:
        path.write_bytes(intact[:keep])
    try:
        assert not is_good(look(str(copies[name])))
    finally:
        path.write_bytes(intact)


# ------------------------------------------------------------ behind
# the checksums


@cache
def messages_in(prefix: str, key: str) -> tuple[bytes, ...]:
    with find(str(samples.ROOT / prefix)).open() as checkpoint:
        entry = checkpoint.entry(key)
        if entry.dtype.name == "variant":
            return tuple(writers.messages_of(checkpoint.reader.read_bytes(entry)))
        return tuple(checkpoint.values(key))


@cache
def iterator_key(prefix: str) -> str:
    with find(str(samples.ROOT / prefix)).open() as checkpoint:
        return next(
            key for key, entry in checkpoint.entries.items() if entry.dtype.name == "variant"
        )


ITERATORS = tuple(
    """
    full_221/ckpt-1 full_211/ckpt-1 full_24/ckpt-1 saver_iterator_115/model.ckpt-7
    textline_211/ckpt-1 tfrecord_offset_221/ckpt-1 saveload_221/ckpt-1 exhausted_221/ckpt-1
    """.split()
)
INTERESTING = st.sampled_from(
    (
        b"\xff" * 9 + b"\x01",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\xff\xff\xff\xff\x0f",
        b"\x00",
    )
)


def mutated(draw: st.DrawFn, messages: tuple[bytes, ...]) -> list[bytes]:
    found = list(messages)
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(found) - 1))
        message = bytearray(found[number])
        kind = draw(st.sampled_from(("flip", "flip", "insert", "cut", "drop", "double")))
        if message and kind in ("flip", "insert", "cut"):
            place = draw(st.integers(0, len(message) - 1))
            if kind == "flip":
                message[place] ^= draw(st.integers(1, 255))
            elif kind == "insert":
                message[place : place + draw(st.integers(0, 2))] = draw(INTERESTING)
            else:
                del message[place:]
            found[number] = bytes(message)
        elif kind == "drop" and len(found) > 1:
            del found[number]
        elif kind == "double":
            found.append(found[number])
    return found


def rewritten(prefix: str, key: str, messages: list[bytes], into: Path) -> str:
    """The sample with other bytes under one key and right checksums, beside nothing else."""
    with find(str(samples.ROOT / prefix)).open() as checkpoint:
        bundle = writers.copy_bundle(checkpoint, {key: messages})
        if checkpoint.entry(key).dtype.name == "string":
            return bundle.write(into / "ckpt-1")
    stored, crc = writers.variant_tensor(messages)
    del bundle.entries[key.encode()]
    return bundle.raw(
        key.encode(), writers.VARIANT, (len(messages),) if len(messages) > 1 else (), stored, crc
    ).write(into / "ckpt-1")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("rewritten")


def test_rewriting_alone_changes_nothing(place, in_samples):
    for prefix in (
        prefix for prefix in ITERATORS if "115" not in prefix
    ):  # those have a .meta file that tells more
        key = iterator_key(prefix)
        again = inspect(rewritten(prefix, key, list(messages_in(prefix, key)), place))
        expected = inspect(str(samples.ROOT / prefix))
        assert again.iterators[0].position == expected.iterators[0].position
        assert not any(finding.status == "damaged" for finding in again.resume.findings)


@pytest.mark.parametrize("show_elements", [False, True])
@settings(max_examples=scaled(200))
@given(data=st.data(), prefix=st.sampled_from(ITERATORS))
def test_iterator_states_that_pass_their_checksum(place, show_elements, data, prefix):
    key = iterator_key(prefix)
    messages = mutated(data.draw, messages_in(prefix, key))
    outcome = look(rewritten(prefix, key, messages, place), show_elements=show_elements)
    # The rest of the checkpoint is intact, so it is described; the iterator is, or says why not.
    assert isinstance(outcome, Inspection), outcome
    if any(iterator.error for iterator in outcome.iterators):
        assert not is_good(outcome)


@settings(max_examples=scaled(80))
@given(
    data=st.data(),
    prefix=st.sampled_from(("full_221/ckpt-1", "full_24/ckpt-1", "lossscale_215/ckpt-1")),
)
def test_object_graphs_that_pass_their_checksum(place, data, prefix):
    messages = mutated(data.draw, messages_in(prefix, OBJECT_GRAPH_KEY))[:1]
    outcome = look(rewritten(prefix, OBJECT_GRAPH_KEY, messages, place))
    assert isinstance(outcome, Inspection), outcome


@settings(max_examples=scaled(60))
@given(data=st.data())
def test_index_entries_that_pass_their_checksum(place, data):
    with find(str(samples.ROOT / "full_221/ckpt-1")).open() as checkpoint:
        bundle = writers.copy_bundle(checkpoint, {})
    key = data.draw(st.sampled_from(sorted(bundle.entries)))
    bundle.entries[key] = mutated(data.draw, (bundle.entries[key],))[0]
    look(bundle.write(place / "ckpt-1"), stats=True)


def test_no_file_is_changed_by_reading(tmp_path):
    directory = samples.copy("full_221", tmp_path)
    before = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()
    }
    for path in directory.iterdir():
        os.chmod(path, 0o444)
    look(str(directory), stats=True, verify=True)
    assert {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()
    } == before


def test_undecodable_buffer_is_not_exact(place):
    """One element of a shuffle's buffer is cut off; its checksum is right, but TensorFlow
    cannot restore it.
    """
    key = iterator_key("full_24/ckpt-1")
    messages = list(messages_in("full_24/ckpt-1", key))
    assert b"ShuffleAndRepeat::0" in messages[4]
    messages[4] = messages[4][:146]
    outcome = look(rewritten("full_24/ckpt-1", key, messages, place), show_elements=False)
    assert isinstance(outcome, Inspection)
    assert outcome.resume.verdict != "exact"


@pytest.mark.parametrize("keep", [0, 1, 1000, -1])
def test_damaged_meta_is_a_note(tmp_path, keep):
    """Restoring does not read the graph, so it decides nothing."""
    directory = samples.copy("saver_iterator_115", tmp_path)
    path = directory / "model.ckpt-7.meta"
    path.write_bytes(path.read_bytes()[:keep])
    outcome = look(str(directory))
    assert isinstance(outcome, Inspection)
    assert outcome.checkpoint.complete
    assert outcome.resume.verdict != "impossible"
    assert outcome.resume.position.step == 7


def test_bytes_behind_the_last_tensor_are_a_note(tmp_path):
    directory = samples.copy("full_221", tmp_path)
    path = directory / "ckpt-1.data-00000-of-00001"
    path.write_bytes(path.read_bytes() + b"more")
    outcome = look(str(directory))
    assert is_good(outcome)
    assert outcome.checkpoint.complete
