from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest

import ckptscope
from ckptscope.resume.report import codes
from ckptscope.version import VERSION
from tests import samples, writers
from tests.command import python, subprocess_of

pytestmark = pytest.mark.usefixtures("in_samples")
EXACT, CONDITIONAL, APPROXIMATE = "full_221", "start_index_221", "model_only_221"


# ------------------------------------------------------------ exit status


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((EXACT,), 0),
        ((APPROXIMATE,), 0),
        ((EXACT, "--require", "exact"), 0),
        ((EXACT, "--strict"), 0),  # the standing condition does not count
        ((APPROXIMATE, "--require", "approximate"), 0),
        ((APPROXIMATE, "--require", "exact"), 1),
        ((APPROXIMATE, "--strict"), 1),
        ((CONDITIONAL, "--require", "exact"), 0),
        ((CONDITIONAL, "--strict"), 1),
        ((CONDITIONAL, "--strict", "--require", "approximate"), 1),
        ((EXACT, "--step", "1"), 0),
        (("manager_run_221", "--all", "--require", "exact"), 0),
        (("manager_run_221", "--all", "--strict"), 0),
        (("manager_run_221@4",), 0),
        (("manager_run_221", "--step", "-1"), 0),
        (("manager_run_221", "--step=-2"), 0),
        (("manager_run_221", "--step", "5"), 2),
        (("manager_run_221", "--step", "-9"), 2),
        (("manager_run_221", "--step", "x"), 2),
        (("no/such/thing",), 2),
        (("README.md",), 2),
        (("gs://bucket/ckpt-1",), 2),
        ((EXACT, "--tensor", "no/such/key"), 2),
        ((EXACT, "--slice", "0"), 2),
        ((EXACT, "--tensor", "step/.ATTRIBUTES/VARIABLE_VALUE", "--slice", "1,2"), 2),
        ((EXACT, "--tensor", "step/.ATTRIBUTES/VARIABLE_VALUE", "--slice", "__import__"), 2),
        ((EXACT, "--format", "xml"), 2),
        ((EXACT, "--require", "perfect"), 2),
        ((EXACT, "--batch-size", "0"), 2),
        ((EXACT, "--batch-size", "many"), 2),
        ((EXACT, "--no-such-option"), 2),
        ((EXACT, "-o", "no/such/directory/file"), 2),
        ((), 2),
    ],
)
def test_inspect_status(call, arguments, status):
    result = call("inspect", *arguments)
    assert result.status == status
    assert "Traceback" not in result.err
    if status == 2:
        assert result.err
        assert not result.out
    else:
        assert result.out
        assert not result.err


def test_strict_over_a_history_counts_conditions(call):
    """The newest of this run carries a condition raised by evidence: its iterator is behind the
    step.
    """
    assert call("inspect", "manager_run_lost_221", "--strict").status == 1
    assert call("inspect", "manager_run_lost_221", "--all", "--require", "exact").status == 0
    assert call("inspect", "manager_run_lost_221", "--all", "--strict").status == 1


def test_damaged_is_described(call, damaged):
    result = call("inspect", damaged)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("IMPOSSIBLE")
    for require in ("exact", "approximate"):
        assert call("inspect", damaged, "--require", require).status == 1
    assert call("inspect", damaged, "--strict").status == 1


def test_headline_names_a_better_checkpoint(call, tmp_path):
    directory = samples.copy("manager_run_221", tmp_path)
    path = directory / "ckpt-12.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-1])
    headline = " ".join(call("inspect", directory, "-q").out.split())
    assert "ckpt-8" in headline
    shutil.copy(samples.ROOT / "model_only_221/ckpt-1.index", directory / "ckpt-12.index")
    shutil.copy(samples.ROOT / "model_only_221/ckpt-1.data-00000-of-00001", path)
    assert "ckpt-8" not in call("inspect", directory, "-q").out
    result = call("inspect", directory, "-q", "--require", "exact")
    assert result.status == 1
    assert "ckpt-8" in result.out


def test_nothing_can_be_said(call, tmp_path):
    directory = samples.copy("full_221", tmp_path)
    (directory / "ckpt-1.index").write_bytes(b"")
    result = call("inspect", directory, "--json")
    assert result.status == 2
    assert json.loads(result.out)["error"]["code"] == "TRUNCATED"


@pytest.mark.parametrize(
    ("path", "status"), [(EXACT, 0), ("saver_v1_115", 0), ("sharded_115", 0), ("nothing", 2)]
)
def test_verify(call, path, status):
    result = call("verify", path)
    assert result.status == status
    assert ("intact" in result.out) == (status == 0)


def test_verify_damaged(call, damaged):
    result = call("verify", damaged)
    assert result.status == 1
    assert "ckpt-1.data-00000-of-00001" in result.out
    found = json.loads(call("verify", damaged, "--json").out)
    assert found["intact"] is False
    (damage,) = found["damage"]
    assert (damage["kind"], damage["fatal"]) == ("checksum", True)
    assert damage["key"] in samples_keys()


def samples_keys():
    with ckptscope.open(samples.ROOT / "full_221") as checkpoint:
        return set(checkpoint)


def test_verify_json(call):
    found = json.loads(call("verify", EXACT, "--json").out)
    assert (found["command"], found["intact"], found["damage"]) == ("verify", True, [])


@pytest.mark.parametrize("code", codes())
def test_explain(call, code):
    result = call("explain", code)
    assert result.status == 0
    assert result.out.startswith(code)
    assert len(result.out.splitlines()) >= 3
    assert all(len(line) <= 80 for line in result.out.splitlines())
    assert re.fullmatch(r"[A-Z]+\d{3}", code)
    assert call("explain", code.lower()).out == result.out


def test_codes_are_unique():
    assert len(set(codes())) == len(codes())


def test_explain_unknown(call):
    result = call("explain", "XYZ999")
    assert (result.status, result.out) == (2, "")
    assert "DATA002" in result.err


# ------------------------------------------------------------ errors as JSON


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("no/such/thing",), "NOT_FOUND"),
        (("README.md",), "NOT_FOUND"),
        (("gs://bucket/ckpt-1",), "UNSUPPORTED"),
        (("manager_run_221", "--step", "5"), "NOT_FOUND"),
        ((EXACT, "--tensor", "nothing"), "NO_SUCH_TENSOR"),
        ((EXACT, "--slice", "0"), "USAGE"),
        ((EXACT, "--no-such-option"), "USAGE"),
        ((EXACT, "--batch-size", "0"), "USAGE"),
    ],
)
@pytest.mark.parametrize("form", [("--json",), ("--format", "json"), ("--format", "ndjson")])
def test_error_object_on_stdout(call, arguments, code, form):
    result = call("inspect", *arguments, *form)
    assert result.status == 2
    found = json.loads(result.out)
    assert found["format_version"] == "1.0"
    assert found["error"]["code"] == code
    assert found["error"]["message"]
    assert set(found["error"]) == {"code", "message", "path"}
    assert result.err


def test_verify_error_object(call):
    assert json.loads(call("verify", "nothing", "--json").out)["error"]["code"] == "NOT_FOUND"


# ------------------------------------------------------------ selecting


def keys(result):
    return [variable["key"] for variable in json.loads(result.out)["variables"]]


@pytest.mark.parametrize(
    "arguments", [("--only", "KERNEL"), ("--ignore", "nothing*"), ("--only", "*", "--only", "x")]
)
@pytest.mark.parametrize(
    "command", [("inspect", "saver_iterator_115"), ("diff", "manager_run_221")], ids=str
)
def test_patterns_that_fit_nothing_are_refused(call, command, arguments):
    result = call(*command, *arguments)
    assert result.status == 2
    assert "fits no variable" in result.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--only", "*kernel"), ["kernel"]),
        (("--only", "kernel*", "--ignore", "*/Adam_1"), ["kernel", "kernel/Adam"]),
        (("--only", "bias", "--only", "output"), ["bias", "output"]),
        (
            ("--ignore", "*Adam*", "--ignore", "beta*", "--ignore", "Iterator*"),
            ["bias", "global_step", "kernel", "output"],
        ),
    ],
)
def test_only_and_ignore(call, arguments, expected):
    result = call("inspect", "saver_iterator_115", *arguments, "--json")
    assert keys(result) == expected
    # Totals and verdict are of the whole checkpoint.
    whole = json.loads(call("inspect", "saver_iterator_115", "--json").out)
    part = json.loads(result.out)
    assert (part["groups"], part["parameters"], part["resume"]) == (
        whole["groups"],
        whole["parameters"],
        whole["resume"],
    )


KERNEL = "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (None, ...),
        ("0", 0),
        ("0,:", (0, slice(None))),
        ("-1, 1:4", (-1, slice(1, 4))),
        ("::2,::-1", (slice(None, None, 2), slice(None, None, -1))),
        ("...,0", (..., 0)),
        ("[1:3]", slice(1, 3)),
        ("2,3", (2, 3)),
    ],
)
@pytest.mark.parametrize("path", [EXACT, "saver_v1_115", "partitioned_115"])
def test_tensor_equals_numpy(call, path, text, index):
    key = KERNEL if path == EXACT else "kernel"
    arguments = ("--tensor", key) + (() if text is None else ("--slice", text))
    found = json.loads(call("inspect", path, *arguments, "--json").out)
    with ckptscope.open(path) as checkpoint:
        expected = np.array(checkpoint[key][index])
    assert (found["key"], found["dtype"], found["shape"]) == (key, "float32", list(expected.shape))
    assert (
        np.array(found["values"], "float32").reshape(expected.shape).tolist() == expected.tolist()
    )
    shown = call("inspect", path, *arguments).out
    assert np.allclose(
        [float(word) for word in re.findall(r"-?\d\.?\d*(?:e[-+]\d+)?", shown)],
        expected.reshape(-1),
        atol=1e-6,
    )


def test_tensor_of_strings_complex_and_nonfinite_numbers(call, tmp_path):
    bundle = writers.Bundle().array("text", np.array([b"a\xff", b""], object))
    bundle.array("c", np.array([1 + 2j], "complex64")).array(
        "f", np.array([np.nan, np.inf, -np.inf, 0.5])
    )
    prefix = bundle.write(tmp_path / "c")
    assert json.loads(call("inspect", prefix, "--tensor", "text", "--json").out)["values"] == [
        "a\\xff",
        "",
    ]
    assert json.loads(call("inspect", prefix, "--tensor", "c", "--json").out)["values"] == [[1, 2]]
    assert json.loads(call("inspect", prefix, "--tensor", "f", "--json").out)["values"] == [
        "NaN",
        "Infinity",
        "-Infinity",
        0.5,
    ]


def test_tensor_respects_output_and_step(call, tmp_path):
    for step in (4, 8):
        result = call(
            "inspect",
            "manager_run_221",
            "--step",
            step,
            "--tensor",
            "step/.ATTRIBUTES/VARIABLE_VALUE",
            "-o",
            tmp_path / "o",
        )
        assert result.status == 0
        assert (tmp_path / "o").read_text().strip() == str(step)


@pytest.mark.parametrize(
    ("hint", "value", "field"),
    [("--batch-size", 4, "batch_size"), ("--epoch-size", 40, "epoch_size")],
)
def test_hints_reach_the_position(call, hint, value, field):
    found = json.loads(
        call("inspect", "start_index_221", "--batch-size", "4", hint, value, "--json").out
    )
    position = found["resume"]["position"]
    assert (position["class"], position["examples_consumed"], position["batches_consumed"]) == (
        "derivable",
        28,
        7,
    )
    assert position["batch_size"] == 4
    assert position["epoch"] == (0 if field == "epoch_size" else None)


@pytest.mark.parametrize("target", [EXACT, "unseeded_221"])
def test_given_seed_that_does_not_match_is_a_finding(call, target):
    found = json.loads(call("inspect", target, "--shuffle-seed", "99999999", "--json").out)
    assert any(
        finding["component"] == "rng" and "99999999" in finding["message"]
        for finding in found["resume"]["findings"]
    )


# ------------------------------------------------------------ the program


@pytest.mark.parametrize(
    "arguments", [("--help",), ("inspect", "--help"), ("verify", "-h"), ("explain", "--help")]
)
def test_help(call, arguments):
    result = call(*arguments)
    assert result.status == 0
    assert "Usage" in result.out


def test_version(call):
    assert call("--version").out.strip() == f"ckptscope {VERSION}"


@pytest.mark.parametrize("arguments", [("nonsense",), ("inspect", EXACT, EXACT), ("explain",)])
def test_usage_errors(call, arguments):
    result = call(*arguments)
    assert result.status == 2
    assert result.err


def test_module_runs():
    result = subprocess_of("inspect", EXACT, "-q")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("EXACT")


MODULES = """
import sys
sys.argv = ["ckptscope", *{arguments!r}]
sys.stdout = open({devnull!r}, "w")
from ckptscope.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
sys.stderr.write("\\n".join(name for name in {modules!r} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("arguments", "modules"),
    [
        (("inspect", EXACT), ("tensorflow", "keras", "pandas")),
        (("inspect", EXACT, "--stats"), ("tensorflow", "keras")),
        (("inspect", "savedmodel_215"), ("tensorflow", "keras")),
        (("inspect", EXACT, "--json"), ("tensorflow", "numpy", "pandas", "rich", "typer")),
        (("inspect", "saver_iterator_115", "--json"), ("tensorflow", "numpy", "pandas", "rich")),
        (("inspect", "manager_run_221", "--all", "--json"), ("tensorflow", "numpy", "pandas")),
        (("inspect", EXACT, "--tensor", KERNEL), ("tensorflow", "pandas")),
        (("verify", EXACT), ("tensorflow", "numpy", "pandas")),
        (("explain", "DATA002"), ("tensorflow", "numpy", "pandas")),
    ],
)
def test_what_is_never_imported(arguments, modules):
    result = python(
        MODULES.format(arguments=arguments, modules=modules, devnull=os.devnull), cwd=samples.ROOT
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.split() == []
