"""The law: what is read from an iterator's state is what TensorFlow counted, or None with a reason;
never a wrong number.

The rows are in :mod:`tests.oracle.pipelines`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import ckptscope
from ckptscope.checkpoint.discover import find
from ckptscope.formats.dtypes import VARIANT
from ckptscope.iterator.ops import OP_SPECS, OPS
from ckptscope.iterator.position import Hints, read_position
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.seeds import prove
from ckptscope.iterator.state import IteratorRecords, Record, split_records
from ckptscope.iterator.tree import IteratorTree, build_tree
from ckptscope.resume.gather import gather
from ckptscope.resume.report import evaluate
from tests.oracle.pipelines import ALL, CASES, END, NOT_MADE, Case, Lab

SAMPLES = Path(__file__).parents[2] / "sample_ckpts"
MOST = 80  # elements of an endless pipeline
READ_AHEAD_SECONDS = 0.005  # before each save, so that buffers are full: the harder case


# ------------------------------------------------------------ truth


@dataclass(frozen=True)
class Save:
    """One checkpoint of a pipeline, what had left the iterator before, and what left it after."""

    prefix: str
    before: list[Any]
    rest: list[Any]
    scratch: str

    @property
    def count(self) -> int:
        return len(self.before)


def plain(element: Any) -> Any:
    """An element as lists and numbers."""
    if isinstance(element, dict):
        return {key: plain(value) for key, value in element.items()}
    if isinstance(element, tuple):
        return tuple(plain(value) for value in element)
    if hasattr(element, "to_list"):  # ragged
        return element.to_list()
    if hasattr(element, "dense_shape"):
        import tensorflow

        return tensorflow.sparse.to_dense(element).numpy().tolist()
    if hasattr(element, "numpy"):
        value = element.numpy()
        return value if isinstance(value, bytes) else value.tolist()
    return [plain(value) for value in element]  # a window


def rows(element: Any) -> int:
    """Examples of a batch."""
    if isinstance(element, tuple):
        element = next(part for part in element if isinstance(part, list))
    return len(element)


def truth(case: Case, before: list[Any]) -> dict[str, int | None]:
    """The fields of a position, counted."""
    examples = sum(map(rows, before)) if case.batch_size else len(before)
    epoch, into = 0, examples
    if examples and case.epoch_size:
        epoch, into = (examples - 1) // case.epoch_size, (examples - 1) % case.epoch_size + 1
    fields: dict[str, int | None] = {"batches_consumed": len(before), "examples_consumed": examples}
    if not case.mixed or not examples:
        fields.update(epoch=epoch, examples_into_epoch=into)
    return fields


class Oracle:
    """Runs pipelines in TensorFlow, each once."""

    def __init__(self, tensorflow: Any, directory: Path) -> None:
        self.tf = tensorflow
        self.directory = directory
        self.lab = Lab(tensorflow, self._new_directory())
        self.saves = cache(self._saves)
        self.inspect = cache(self._inspect)

    def _new_directory(self) -> str:
        return tempfile.mkdtemp(dir=self.directory)

    def _iterator(self, case: Case, scratch: str) -> Any:
        from tensorflow.python.eager import context

        context.set_global_seed(case.global_seed)  # the public set_seed cannot take a seed back
        self.lab.scratch = scratch
        dataset = case.build(self.lab)
        if not case.tuned:
            dataset = self.lab.with_options(
                dataset, experimental_optimization__inject_prefetch=False
            )
        return iter(dataset)

    def _checkpoint(self, iterator: Any, step: int) -> Any:
        tf = self.tf
        return tf.train.Checkpoint(
            step=tf.Variable(step, dtype=tf.int64), weights=tf.Variable([0.5]), iterator=iterator
        )

    def _saves(self, case: Case) -> dict[int, Save]:
        """By count. Each is saved from one running iterator; from one of its own if the
        pipeline writes files.
        """
        counts = sorted((*case.counts, *case.edges), key=lambda count: (count == END, count))
        if case.writes:
            whole = take(self._iterator(case, self._new_directory()), MOST)
            return {count: self._run(case, [count], whole)[count] for count in counts}
        return self._run(case, counts, None)

    def _run(self, case: Case, counts: list[int], whole: list[Any] | None) -> dict[int, Save]:
        """Advance and save; then go on to the end, unless it is given what follows."""
        scratch = self._new_directory()
        iterator = self._iterator(case, scratch)
        elements: list[Any] = []
        prefixes = []
        for count in counts:
            elements += take(iterator, (MOST if count == END else count) - len(elements))
            if count == END:
                assert next(iterator, None) is None
            time.sleep(READ_AHEAD_SECONDS)
            prefix = self._checkpoint(iterator, len(elements)).write(
                os.path.join(self._new_directory(), "ckpt")
            )
            prefixes.append((count, len(elements), prefix))
        if whole is None:
            whole = elements + take(iterator, MOST - len(elements))
        assert whole[: len(elements)] == elements
        return {
            count: Save(prefix, whole[:taken], whole[taken:], scratch)
            for count, taken, prefix in prefixes
        }

    def restored(self, case: Case, save: Save) -> list[Any]:
        """What a new iterator gives after restoring."""
        iterator = self._iterator(case, save.scratch)
        self._checkpoint(iterator, -1).read(save.prefix).expect_partial()
        # A mixture that has lost an input never answers at its end when it was restored
        # (TensorFlow): do not ask it to.
        return take(iterator, len(save.rest) if case.mixed else MOST - save.count)

    def _inspect(self, prefix: str, case: Case, sizes: bool) -> ckptscope.Inspection:
        if sizes:
            return ckptscope.inspect(prefix, batch_size=case.batch_size, epoch_size=case.epoch_size)
        return ckptscope.inspect(prefix)


def take(iterator: Any, count: int) -> list[Any]:
    """At most ``count`` elements."""
    elements = []
    while len(elements) < count and (element := next(iterator, None)) is not None:
        elements.append(plain(element))
    return elements


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tensorflow = pytest.importorskip("tensorflow")
    tensorflow.get_logger().setLevel("ERROR")
    tensorflow.autograph.set_verbosity(0)
    return Oracle(tensorflow, tmp_path_factory.mktemp("oracle"))


def table(reason: str = "") -> list[Any]:
    """The cases; those are expected to fail whose field of that name says why."""

    def marks(case: Case) -> list[pytest.MarkDecorator]:
        why = getattr(case, reason) if reason else None
        return [pytest.mark.xfail(strict=True, reason=why)] if why else []

    return [pytest.param(case, id=case.name, marks=marks(case)) for case in CASES]


# ------------------------------------------------------------ the law


def problems(position: Any, expected: dict[str, int | None], case: Case) -> list[str]:
    """Numbers that are wrong, and fields that are None without a reason."""
    found = []
    for name in ALL:
        value, counted = getattr(position, name), expected.get(name)
        if value is None and not position.reasons.get(name):
            found.append(f"{name} is None without a reason")
        if value is not None and value != counted:
            found.append(f"{name} is {value}, not {counted}")
    if position.batch_size not in (None, case.batch_size):
        found.append(f"batch_size is {position.batch_size}, not {case.batch_size}")
    if position.epoch_size not in (None, case.epoch_size):
        found.append(f"epoch_size is {position.epoch_size}, not {case.epoch_size}")
    return found


@pytest.mark.tf
@pytest.mark.parametrize("case", table("wrong"))
def test_never_a_wrong_number(case: Case, oracle: Oracle) -> None:
    wrong = []
    for save in oracle.saves(case).values():
        expected = truth(case, save.before)
        for sizes in (False, True):
            inspection = oracle.inspect(save.prefix, case, sizes)
            (iterator,) = inspection.iterators
            assert iterator.decoded, iterator.error
            assert inspection.resume.position.step == save.count
            told = f"after {save.count}, {'given' if sizes else 'without'} sizes"
            for name, position in (
                ("iterator", iterator.position),
                ("run", inspection.resume.position),
            ):
                wrong += [f"{told}, {name}: {text}" for text in problems(position, expected, case)]
            if iterator.exhausted and save.rest:
                wrong.append(f"{told}: exhausted, but {len(save.rest)} elements follow")
    assert not wrong, "\n".join(wrong)


@pytest.mark.tf
@pytest.mark.parametrize("case", table())
def test_known_where_it_must_be(case: Case, oracle: Oracle) -> None:
    unknown = []
    for count in case.counts:
        save = oracle.saves(case)[count]
        inspection = oracle.inspect(save.prefix, case, True)
        for name, position in (
            ("iterator", inspection.iterators[0].position),
            ("run", inspection.resume.position),
        ):
            unknown += [
                f"after {count}, {name}: {field}: {position.reasons[field]}"
                for field in case.known
                if getattr(position, field) is None
            ]
    assert not unknown, "\n".join(unknown)


@pytest.mark.tf
@pytest.mark.parametrize("case", table("misjudged"))
def test_restoring_continues_there(case: Case, oracle: Oracle) -> None:
    """The truth itself; and where nothing is said against the data, it continues exactly, later
    passes included.
    """
    for count in (*case.counts[-2:], *case.edges[-1:]):
        save = oracle.saves(case)[count]
        restored = oracle.restored(case, save)
        report = oracle.inspect(save.prefix, case, True).resume
        doubts = [
            finding.code
            for finding in report.findings
            if finding.component in ("iterator", "rng") and finding.verdict
        ]
        doubts += [
            condition.code for condition in report.conditions if condition.code == "COND118"
        ]  # between passes
        same = len(save.rest)
        if case.seeded is not None and case.epoch_size and doubts:  # to the end of this pass
            into = truth(case, save.before)["examples_into_epoch"] or 0
            same = (case.epoch_size - into) // (case.batch_size or 1)
        assert restored[:same] == save.rest[:same], (count, doubts)
        assert len(restored) == len(save.rest), (count, doubts)


def first_number(element: Any) -> int | None:
    """The number of the first example of an element; None where it holds none."""
    while isinstance(element, (list, tuple)) and element:
        # Of a pair with a count the data comes last.
        element = element[-1] if isinstance(element, tuple) else element[0]
    if isinstance(element, bytes):
        element = int(element.split()[0])
    return element if isinstance(element, int) else None


# First numbers of the data files of the lab.
FIRST_OF_FILE = {
    None: 0,
    "part-0.tfrecord": 0,
    "part-1.tfrecord": 9,
    "part-2.tfrecord": 16,
    "all.tfrecord.gz": 0,
    "lines-0.txt": 0,
    "lines-1.txt": 12,
}
# Where it must be told, at one of the counts at least.
TOLD_NEXT = frozenset(
    (
        "slices",
        "batch",
        "padded batch",
        "take of a repeat",
        "enumerate",
        "cache being filled",
        "cache of batches",
        "parallel map",
        "unbatch",
    )
)


@pytest.mark.tf
@pytest.mark.parametrize("case", table())
def test_next_record(case: Case, oracle: Oracle) -> None:
    told = []
    for save in oracle.saves(case).values():
        for sizes in (False, True):
            (iterator,) = oracle.inspect(save.prefix, case, sizes).iterators
            following = iterator.position.next_record
            if following is not None and save.rest:
                name = following.file and os.path.basename(following.file)
                told.append((save.count, following.record_index + FIRST_OF_FILE[name]))
                assert told[-1] == (save.count, first_number(save.rest[0])), sizes
    assert told or case.name not in TOLD_NEXT


@pytest.mark.tf
@pytest.mark.parametrize("case", table())
def test_seeds(case: Case, oracle: Oracle) -> None:
    found = {
        proof.status
        for save in oracle.saves(case).values()
        for proof in prove(tree_of(save.prefix), Hints())
    }
    assert bool(found) == (case.seeded is not None)
    if case.seeded:
        assert found <= {"proven", "whole"}
    else:
        assert "proven" not in found


@pytest.mark.tf
@pytest.mark.parametrize("case", table())
def test_the_case_shows_its_stages(case: Case, oracle: Oracle) -> None:
    shown = {
        stage.op
        for save in oracle.saves(case).values()
        for stage in root_of(tree_of(save.prefix)).walk()
    }
    assert set(case.ops.split()) <= shown
    assert shown <= set(OPS)


@pytest.mark.tf
@pytest.mark.parametrize("count", [11, 22])
def test_started_at_the_start_of_a_later_pass(count: int, oracle: Oracle) -> None:
    case = next(case for case in CASES if case.name == "endless batches")
    (iterator,) = oracle.inspect(oracle.saves(case)[count].prefix, case, False).iterators
    assert iterator.started is not False


def test_every_op_is_covered() -> None:
    covered = {op for case in CASES for op in case.ops.split()}
    names = {name for spec in OP_SPECS for name in spec.names}
    assert covered <= names
    assert not covered & set(NOT_MADE), "listed as not made, but a case makes it"
    assert names - covered == set(NOT_MADE)


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


# ------------------------------------------------------------ old releases


@cache
def manifest() -> dict[str, dict[str, Any]]:
    return {
        sample["name"]: sample
        for sample in json.loads((SAMPLES / "manifest.json").read_text())["samples"]
    }


# Samples of old releases, and the fields that must be known for the run.
OLD: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("saver_iterator_115", "sharded_115", "partitioned_115", "estimator_hook_115"), ALL
    ),
    **dict.fromkeys(("full_24", "full_28", "full_211"), ALL),
    "textline_211": ("examples_into_epoch",),
}


@pytest.mark.parametrize("name", list(OLD))
def test_old_encodings(name: str) -> None:
    sample = manifest()[name]
    expected = sample["truth"]["position"]
    size = expected["dataset_size"]
    for given in ({}, {"batch_size": expected["batch_size"], "epoch_size": size}):
        inspection = ckptscope.inspect(
            str(SAMPLES / sample["target"]), data_root=str(SAMPLES), **given
        )
        (iterator,) = inspection.iterators
        assert iterator.decoded, iterator.error
        assert inspection.resume.position.step == expected["step"]
        for position in (iterator.position, inspection.resume.position):
            never_wrong(position, name)
            assert position.batch_size in (None, expected["batch_size"])
            assert position.epoch_size in (None, size)
        if given:
            assert [
                field for field in OLD[name] if getattr(inspection.resume.position, field) is None
            ] == []


def test_old_samples_cover_all_encodings() -> None:
    releases = {manifest()[name]["tensorflow"].rpartition(".")[0] for name in OLD}
    assert releases == {"1.15", "2.4", "2.8", "2.11"}
    assert {tree_of(sample_prefix(name)).encoding for name in OLD} == {"single", "named"}


SEEDED = tuple(
    """
    saver_iterator_115 full_24 full_28 full_211 full_215 full_221 unstarted_221 manager_run_221
    """.split()
)


@pytest.mark.parametrize("name", SEEDED)
def test_seeded_samples_are_proven(name: str) -> None:
    found = [proof.status for proof in prove(tree_of(sample_prefix(name)), Hints())]
    assert found
    assert set(found) <= {"proven", "whole"}


def test_an_unseeded_sample_is_not_proven() -> None:
    (proof,) = prove(tree_of(sample_prefix("unseeded_221")), Hints())
    assert proof.status in ("unproven", "unseeded")
    (proof,) = prove(tree_of(sample_prefix("unseeded_221")), Hints(shuffle_seed=123456789))
    assert proof.status == "given_mismatch"


# ------------------------------------------------------------ unknown stages


def root_of(tree: IteratorTree) -> Any:
    assert tree.root is not None
    return tree.root


def records_of(prefix: str) -> IteratorRecords:
    with find(prefix, None).open() as checkpoint:
        (entry,) = (entry for entry in checkpoint.entries.values() if entry.dtype is VARIANT)
        return split_records(checkpoint.reader.read_bytes(entry), entry.num_elements, entry.key)


def tree_of(prefix: str) -> IteratorTree:
    return build_tree(records_of(prefix))


def sample_prefix(name: str) -> str:
    """The file of a sample that holds the iterator."""
    inspection = ckptscope.inspect(
        str(SAMPLES / manifest()[name]["target"]), data_root=str(SAMPLES)
    )
    return inspection.iterators[0].source_file


def renamed(records: IteratorRecords, op: str) -> IteratorRecords:
    """The same state, written by a stage of another name."""

    def rename(text: str) -> str:
        return text.replace(f"::{op}", "::FromTheFuture")

    def rename_record(record: Record) -> Record:
        return replace(record, name=rename(record.name), keys=tuple(map(rename, record.keys)))

    return replace(records, records=tuple(map(rename_record, records.records)))


def ops_of(name: str) -> list[str]:
    return sorted({stage.op for stage in root_of(tree_of(sample_prefix(name))).walk()})


@pytest.mark.parametrize(
    "name", ["saver_iterator_115", "full_24", "full_28", "full_211", "full_215", "full_221"]
)
def test_an_unknown_stage_makes_the_verdict_approximate(name: str) -> None:
    location = find(str(SAMPLES / manifest()[name]["target"]), None)
    hints = Hints(batch_size=4, epoch_size=40, data_root=str(SAMPLES))
    with location.open() as checkpoint:
        facts = gather(location, checkpoint, hints)
        assert facts.training is not None
        assert evaluate(facts).verdict == "exact"
        records = records_of(sample_prefix(name))
        for op in ops_of(name):
            tree = build_tree(renamed(records, op))
            reading = read_position(tree, hints, DataFiles(hints.data_root))
            changed = replace(
                facts.training, tree=tree, reading=reading, proofs=tuple(prove(tree, hints))
            )
            report = evaluate(replace(facts, iterators=(changed,), training=changed))
            assert report.verdict == "approximate", op
            assert any(
                finding.code == "DATA009" and "FromTheFuture" in finding.message
                for finding in report.findings
            ), op
            never_wrong(reading.position, name)


def never_wrong(position: Any, name: str) -> None:
    expected = manifest()[name]["truth"]["position"]
    for field in ALL:
        value = getattr(position, field)
        assert value in (None, expected[field]), field
        assert value is not None or position.reasons[field], field


def test_a_renamed_root_tells_nothing() -> None:
    records = renamed(records_of(sample_prefix("full_221")), "Prefetch")
    position = read_position(
        build_tree(records), Hints(batch_size=4, epoch_size=40), DataFiles(None)
    ).position
    assert [getattr(position, field) for field in ALL] == [None] * len(ALL)
    assert "FromTheFuture" in position.reasons["examples_consumed"]
