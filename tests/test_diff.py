"""``ckptscope diff`` as users call it: exit status, what is said, formats, damage, git."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ckptscope as cs
from tests import samples, writers
from tests.command import python
from tests.test_output import validator

pytestmark = pytest.mark.usefixtures("in_samples")
RUN, LOST, FULL, OTHER = "manager_run_221", "manager_run_lost_221", "full_221", "full_215"
PAIRS = [
    (RUN,),
    (LOST,),
    (FULL, FULL),
    (FULL, OTHER),
    (FULL, "model_only_221"),
    ("saver_v1_115", "saver_iterator_115"),
    ("partitioned_115", "partitioned_115"),
    ("savedmodel_215", "weights_tf_215"),
    ("estimator_hook_115", "estimator_plain_115"),
    ("read/dtypes_221", "read/dtypes_115"),
    ("exhausted_221", "unstarted_221"),
    ("full_24", "full_28"),
    ("textline_211", "tfrecord_gzip_215"),
    ("sharded_115", "saver_iterator_115"),
    ("two_iterators_221", FULL),
]


def weights(path: Path, **values: np.ndarray) -> str:
    bundle = writers.Bundle()
    for key, value in values.items():
        bundle.array(key.replace("__", "/"), value)
    return bundle.write(path)


def float32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


# ------------------------------------------------------------ exit status


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((FULL, FULL), 0),
        ((RUN,), 1),
        ((RUN, "--stat"), 1),
        ((RUN, "-q"), 1),
        ((RUN, "-v"), 1),
        ((f"{RUN}@4", f"{RUN}@8"), 1),
        ((f"{RUN}@4", f"{RUN}@4"), 0),
        ((RUN, "--step", "4", "4"), 0),
        ((RUN, "--step", "-3", "-1"), 1),
        ((RUN, RUN, "--step", "4", "8"), 1),
        ((FULL, FULL, "--verify-data"), 0),
        ((FULL, FULL, "--equal-nan"), 0),
        ((FULL, FULL, "--no-equal-nan"), 0),
        ((RUN, "--only", "optimizer/_learning_rate/*"), 0),
        ((RUN, "--only", "optimizer/_trainable*"), 1),
        ((RUN, "--only", "optimizer/_trainable*", "--atol", "10"), 0),
        ((FULL, OTHER, "--only", "iterator/*"), 0),
        ((FULL,), 2),
        ((f"{FULL}/ckpt-1",), 2),
        ((f"{FULL}/ckpt-1.index",), 2),
        (("no/such", FULL), 2),
        ((FULL, "no/such"), 2),
        ((FULL, "README.md"), 2),
        ((RUN, "--step", "4", "5"), 2),
        ((RUN, "--step", "4"), 2),
        ((FULL, FULL, "--map", "x"), 2),
        ((FULL, FULL, "--map", "no/such=y"), 2),
        ((FULL, FULL, "--rtol", "-1"), 2),
        ((FULL, FULL, "--rtol", "nan"), 2),
        ((FULL, FULL, "--top", "many"), 2),
        ((FULL, FULL, "--format", "xml"), 2),
        ((FULL, "s3://bucket/ckpt"), 2),
        ((FULL, FULL, "-o", "no/such/directory/file"), 2),
        ((), 2),
    ],
)
def test_status_from_a_shell(call, arguments, status):
    result = call("diff", *arguments)
    assert result.status == status
    assert "Traceback" not in result.err
    assert bool(result.out) is (status != 2)
    assert bool(result.err) is (status == 2)


@pytest.mark.parametrize(("a", "b", "side"), [("no/such", FULL, "A"), (FULL, "no/such", "B")])
def test_trouble_names_the_side(call, a, b, side):
    result = call("diff", a, b, "--json")
    assert f"{side}: " in json.loads(result.out)["error"]["message"]
    assert f"{side}: " in result.err


def test_help_lists_everything(call):
    text = call("diff", "--help").out
    for flag in (
        "--rtol",
        "--equal-nan",
        "--no-equal-nan",
        "--map",
        "--strip-prefix",
        "--verify-data",
        "--top",
        "--stat",
    ):
        assert flag in text


# ------------------------------------------------------------ output


@pytest.mark.parametrize("arguments", PAIRS)
@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "markdown", "table"])
def test_every_format_tells_the_same_changes(call, arguments, form):
    found = cs.diff(*arguments).collect()
    result = call("diff", *arguments, "--format", form, "-v")
    assert result.status == int(not found.summary.same)
    if form == "json":
        value = json.loads(
            result.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
        )
        validator("diff").validate(value)
        assert value == json.loads(found.to_json())
        assert [change["key"] for change in value["changes"]] == [
            change.key for change in found.changes
        ]
    elif form == "ndjson":
        assert [json.loads(line)["key"] for line in result.out.splitlines()] == [
            change.key for change in found.changes
        ]
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(result.out)))
        assert [(row["kind"], row["key"]) for row in rows] == [
            (change.kind, change.key) for change in found.changes
        ]
    else:
        assert ("SAME" if found.summary.same else "DIFFERENT") in result.out.splitlines()[0]
        assert all(alarm.code in result.out for alarm in found.summary.alarms)
    if form == "table":
        assert max(map(len, result.out.splitlines())) <= 80
    assert len(found.to_frame()) == len(found.changes)
    assert found._repr_html_().count("<table") == found._repr_html_().count("</table")


def test_one_directory_means_its_last_two_checkpoints(call):
    found = json.loads(call("diff", RUN, "--json").out)
    assert (found["a"]["step"], found["b"]["step"]) == (8, 12)
    assert found["summary"]["step_delta"] == 4


def test_the_rule_is_spelt_out(call):
    assert "|a - b| <= 0 + 0.01 * |b|" in call("diff", FULL, FULL, "--rtol", "0.01").out.replace(
        "\n", " "
    )
    assert "equal bytes" in call("diff", FULL, FULL).out


def test_wide_terminals_get_more_columns():
    from rich.console import Console

    from ckptscope.render.diff_text import print_diff

    found = cs.diff(RUN).collect()
    shown = {}
    for width in (50, 80, 140):
        buffer = io.StringIO()
        print_diff(found, Console(file=buffer, width=width, force_terminal=False), verbosity=1)
        shown[width] = buffer.getvalue()
        assert max(map(len, shown[width].splitlines())) <= width
    assert "dtype" not in shown[80]
    assert "dtype" in shown[140]


def test_top_and_stat_limit_what_is_shown(call):
    top = call("diff", RUN, "--top", "2").out
    assert "and 13 more variables" in top
    stat = call("diff", RUN, "--stat").out
    assert "total" in stat
    assert "Largest" not in stat


def test_changes_come_lazily_and_collect_to_a_frozen_result():
    with cs.diff(RUN) as found:
        first = next(iter(found))
        assert first.kind == "value"
        result = found.collect()
    assert result.changes[0] == first == next(iter(found))
    with pytest.raises(AttributeError):
        result.changes = ()
    assert found.summary is result.summary


def test_tensorflow_and_pandas_are_not_imported():
    code = (
        "import sys, ckptscope as cs; d = cs.diff(sys.argv[1]).collect(); assert d.changes;"
        "assert not {'tensorflow', 'pandas', 'rich', 'pickle'} & set(sys.modules) - {'pickle'}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, RUN], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_equal_checkpoints_need_no_numpy():
    code = (
        "import sys; from ckptscope.cli import run, parse; run(*parse(['diff', 'full_221', "
        "'full_221', '-q'])); assert 'numpy' not in sys.modules"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------ pairing


def test_prefixes_and_maps_that_the_user_knows(call, tmp_path):
    a = weights(tmp_path / "a", model__dense__kernel=float32(1, 2), model__dense__bias=float32(3))
    b = weights(tmp_path / "b", net__dense__kernel=float32(1, 2), net__dense__bias=float32(3))
    c = weights(tmp_path / "c", dense__kernel=float32(1, 2), dense__bias=float32(3))
    assert call("diff", a, b).status == 1
    assert call("diff", a, b, "--map", "model=net").status == 0
    assert call("diff", a, b, "--map", "model/dense=net/dense").status == 0
    assert call("diff", a, c, "--strip-prefix", "model/").status == 0
    assert call("diff", a, b, "--strip-prefix", "model/", "--strip-prefix", "net/").status == 0


def test_styles_pair_by_full_name(call, tmp_path):
    """The same weights under an object graph and under plain names are the same."""
    a = weights(tmp_path / "a", dense__kernel=float32(1, 2))
    bundle = writers.Bundle().array("layer/w/.ATTRIBUTES/VARIABLE_VALUE", float32(1, 2))
    bundle.graph(
        [
            {"children": {"layer": 1}},
            {"children": {"w": 2}},
            {
                "attributes": {"VARIABLE_VALUE": "layer/w/.ATTRIBUTES/VARIABLE_VALUE"},
                "full_name": "dense/kernel",
            },
        ]
    )
    result = call("diff", a, bundle.write(tmp_path / "b"), "--json")
    found = json.loads(result.out)
    assert result.status == 0
    assert [change["role"] for change in found["changes"]] == ["bookkeeping"]


def test_bookkeeping_is_listed_and_does_not_count(call, tmp_path):
    a = weights(tmp_path / "a", w=float32(1), save_counter=np.array(1))
    b = weights(tmp_path / "b", w=float32(1), save_counter=np.array(2))
    for prefix in (a, b):
        with cs.open(prefix) as checkpoint:
            assert "save_counter" in checkpoint
    found = json.loads(
        call("diff", f"{RUN}@4", f"{RUN}@8", "--only", "save_counter/*", "--json").out
    )
    assert found["summary"]["same"]
    assert [(change["key"], change["counts"]) for change in found["changes"]] == [
        ("save_counter/.ATTRIBUTES/VARIABLE_VALUE", False)
    ]


# ------------------------------------------------------------ damage


def _offset(prefix: Path, key: str) -> int:
    with cs.open(str(prefix)) as checkpoint:
        return checkpoint.entry(key).offset


def _damaged_run(tmp_path: Path, damage: str) -> str:
    run = samples.copy(RUN, tmp_path)
    data = run / "ckpt-12.data-00000-of-00001"
    at = _offset(run / "ckpt-12", "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE")
    stored = bytearray(data.read_bytes())
    if damage == "flipped":
        stored[at] ^= 1
    data.write_bytes(stored[: at + 4] if damage == "cut" else stored)
    return str(run)


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_tensor_is_a_change_and_the_rest_is_compared(call, tmp_path, damage):
    result = call("diff", _damaged_run(tmp_path, damage), "--json")
    found = json.loads(result.out)
    validator("diff").validate(found)
    broken = [change for change in found["changes"] if change["kind"] == "unreadable"]
    key = "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE"
    assert result.status == 1
    assert key in [change["key"] for change in broken]
    assert all(change["problem"].startswith("B: ") for change in broken)
    assert found["summary"]["verdicts"][1] == "impossible"
    assert "VERDICT_FELL" in [alarm["code"] for alarm in found["summary"]["alarms"]]
    assert any(change["kind"] == "value" for change in found["changes"])


def test_a_flip_in_an_equal_tensor_is_seen(call, tmp_path):
    """Its stored checksum equals that of A, so that only its bytes tell."""
    copy = samples.copy(FULL, tmp_path)
    data = copy / "ckpt-1.data-00000-of-00001"
    stored = bytearray(data.read_bytes())
    stored[_offset(copy / "ckpt-1", "optimizer/_variables/2/.ATTRIBUTES/VARIABLE_VALUE")] ^= 1
    data.write_bytes(stored)
    found = json.loads(call("diff", FULL, copy, "--json").out)
    assert [change["kind"] for change in found["changes"]] == ["unreadable"]


def test_a_checkpoint_replaced_meanwhile_is_trouble(tmp_path):
    run = samples.copy(RUN, tmp_path)
    found = cs.diff(str(run))
    next(iter(found))
    index = run / "ckpt-12.index"
    index.rename(run / "old")
    index.write_bytes((run / "ckpt-8.index").read_bytes())
    with pytest.raises(cs.CkptscopeError, match=r"B: is being written"):
        found.collect()


@pytest.mark.parametrize("missing", ["ckpt-12.index", "ckpt-12.data-00000-of-00001"])
def test_a_lost_file_is_trouble_that_names_the_side(call, tmp_path, missing):
    run = samples.copy(RUN, tmp_path)
    (run / missing).unlink()
    result = call("diff", f"{run}@8", run / "ckpt-12")
    assert result.status == 2
    assert "B: " in result.err


def test_an_undecodable_iterator_is_unreadable(call, tmp_path):
    with cs.open(FULL) as checkpoint:
        key = "iterator/.ATTRIBUTES/ITERATOR_STATE"
        messages = writers.messages_of(checkpoint.reader.read_bytes(checkpoint.entry(key)))
        broken = writers.copy_bundle(checkpoint, {key: [message[:-3] for message in messages]})
    found = json.loads(call("diff", FULL, broken.write(tmp_path / "ckpt-1"), "--json").out)
    change = next(change for change in found["changes"] if change["role"] == "iterator")
    assert (change["kind"], found["iterators"][0]["kind"]) == ("unreadable", "undecoded")


# ------------------------------------------------------------ the run


def test_restart_drills_of_the_samples(call):
    """The run that lost its place alarms, the one that was resumed exactly is silent: in both
    commands.
    """
    for run, expected in ((RUN, []), (LOST, ["DATA_BACK", "DATA_REPEATED"])):
        rows = json.loads(call("inspect", run, "--all", "--json").out)["history"]
        assert [[alarm["code"] for alarm in row["alarms"]] for row in rows] == [[], [], expected]
        found = json.loads(call("diff", run, "--json").out)["summary"]
        assert [alarm["code"] for alarm in found["alarms"]] == expected
    assert found["alarms"][1]["repeated_elements"] == [0, 16]
    assert (found["batches_delta"], found["examples_delta"]) == (-4, -16)


def test_history_tells_where_a_restart_lost_its_place(call):
    text = call("inspect", LOST, "--all").out
    assert "2 alarms" in text
    assert "DATA_BACK at ckpt-12" in text
    validator("history").validate(json.loads(call("inspect", LOST, "--all", "--json").out))
    assert "DATA_BACK" in call("inspect", LOST, "--all", "--format", "markdown").out
    assert "DATA_BACK" in call("inspect", LOST, "--all", "--format", "csv").out
    assert "DATA_BACK" in cs.inspect_all(LOST)._repr_html_()


def test_frozen_weights_and_new_nan_alarm(call, tmp_path):
    start = {"w": float32(1, 2), "global_step": np.array(1)}
    a = weights(tmp_path / "model.ckpt-1", **start)
    b = weights(tmp_path / "model.ckpt-2", **{**start, "global_step": np.array(2)})
    c = weights(tmp_path / "model.ckpt-3", w=float32(1, np.nan), global_step=np.array(3))
    codes = [
        [
            alarm["code"]
            for alarm in json.loads(call("diff", x, y, "--json").out)["summary"]["alarms"]
        ]
        for x, y in ((a, b), (b, c), (c, c))
    ]
    assert codes == [["WEIGHTS_FROZEN"], ["NAN_NEW"], []]


@pytest.mark.parametrize("code", ["DATA_BACK", "data_rate", "NAN_NEW"])
def test_explain_knows_the_alarms(call, code):
    assert code.upper() in call("explain", code).out


def test_a_shortened_list_of_changes_keeps_the_largest(in_samples):
    from ckptscope.render.diff_json import diff_to_jsonable

    with cs.diff("manager_run_221@4", "manager_run_221@12") as comparison:
        found = comparison.collect()
    whole, short = diff_to_jsonable(found), diff_to_jsonable(found, most=3)
    assert len(whole["changes"]) > 3 == len(short["changes"])
    assert [change for change in whole["changes"] if change in short["changes"]] == short["changes"]
    assert short["notes"] == [
        *whole["notes"],
        f"{len(whole['changes']) - 3:,} more changes are not listed here; ckptscope diff "
        "lists them",
    ]
    assert {**short, "changes": [], "notes": []} == {**whole, "changes": [], "notes": []}
    assert diff_to_jsonable(found, most=10_000) == whole
