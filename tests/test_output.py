"""What is printed: every format, and the table on pipes and terminals."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
from referencing import Registry, Resource

import ckptscope
from ckptscope.version import VERSION
from tests import samples, writers
from tests.command import ROOT

pytestmark = pytest.mark.usefixtures("in_samples")
ESCAPE = "\x1b"
EXACT, CONDITIONAL, APPROXIMATE = "full_221", "start_index_221", "model_only_221"
SCHEMAS = [json.loads(path.read_text()) for path in (ROOT / "ckptscope/schema").glob("*.json")]
REGISTRY = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS]
)


def validator(title: str) -> jsonschema.Draft202012Validator:
    schema = next(schema for schema in SCHEMAS if title in schema["$id"])
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, registry=REGISTRY)


# ------------------------------------------------------------ formats


@pytest.mark.parametrize("target", samples.TARGETS)
def test_json_fits_its_schema(call, target):
    result = call("inspect", target, "--json")
    found = json.loads(result.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    validator("inspect").validate(found)
    assert (found["command"], found["tool_version"]) == ("inspect", VERSION)
    for group in found["groups"]:
        rows = [variable for variable in found["variables"] if variable["role"] == group["role"]]
        assert (group["num_variables"], group["nbytes"]) == (
            len(rows),
            sum(row["nbytes"] for row in rows),
        )
    assert found["checkpoint"]["num_variables"] == len(found["variables"])


def test_json_of_damage_and_statistics_fits_its_schema(call, damaged, tmp_path):
    array = np.array([np.nan, np.inf, -np.inf, 1], "float32")
    prefix = (
        writers.Bundle().array("w", array).array("n", np.full(2, np.nan)).write(tmp_path / "nan")
    )
    for arguments in ((damaged,), (EXACT, "--stats", "--show-elements"), (prefix, "--stats")):
        found = json.loads(call("inspect", *arguments, "--json").out)
        validator("inspect").validate(found)


@pytest.mark.parametrize(
    "arguments",
    [(EXACT,), (EXACT, "--stats", "--show-elements"), ("saver_v1_115",), ("two_iterators_221",)],
)
def test_json_and_ndjson_and_the_library_agree(call, arguments):
    one = json.loads(call("inspect", *arguments, "--json").out)
    line = call("inspect", *arguments, "--format", "ndjson").out
    assert line.count("\n") == 1
    assert json.loads(line) == one
    options = {"stats": True, "show_elements": True} if "--stats" in arguments else {}
    assert json.loads(ckptscope.inspect(arguments[0], **options).to_json()) == one


@pytest.mark.parametrize("target", samples.TARGETS)
def test_csv_has_a_row_for_each_variable(call, target):
    rows = list(csv.DictReader(io.StringIO(call("inspect", target, "--format", "csv").out)))
    with ckptscope.open(target) as checkpoint:
        assert [row["key"] for row in rows] == list(checkpoint)
        for row in rows:
            entry = checkpoint.entry(row["key"])
            assert (row["dtype"], int(row["nbytes"])) == (entry.dtype.name, entry.nbytes)
            assert row["shape"] == "x".join(map(str, entry.shape))


def test_csv_with_statistics(call):
    rows = {
        row["key"]: row
        for row in csv.DictReader(
            io.StringIO(call("inspect", EXACT, "--stats", "--format", "csv").out)
        )
    }
    key = "optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE"
    with ckptscope.open(EXACT) as checkpoint:
        array = checkpoint[key].astype("float64")
    for name, value in (
        ("min", array.min()),
        ("max", array.max()),
        ("mean", array.mean()),
        ("std", array.std()),
    ):
        assert float(rows[key][name]) == pytest.approx(value)
    assert rows[key]["num_nan"] == "0"


@pytest.mark.parametrize("target", samples.TARGETS)
def test_markdown_tables_are_whole(call, target):
    out = call("inspect", target, "--format", "markdown").out
    assert out.startswith("### ")
    blocks = [block.splitlines() for block in out.split("\n\n") if block.startswith("|")]
    assert blocks
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block}
        assert len(widths) == 1, block
        assert set(block[1]) <= set("| -")


@pytest.mark.parametrize("form", ["table", "json", "ndjson", "csv", "markdown"])
def test_history_formats(call, form):
    result = call("inspect", "manager_run_221", "--all", "--format", form)
    assert result.status == 0
    assert all(step in result.out for step in ("ckpt-4", "ckpt-8", "ckpt-12"))
    if form == "json":
        validator("history").validate(json.loads(result.out))
    elif form == "ndjson":
        assert [json.loads(line)["checkpoint"]["step"] for line in result.out.splitlines()] == [
            4,
            8,
            12,
        ]
    elif form == "csv":
        assert [row["examples_consumed"] for row in csv.DictReader(io.StringIO(result.out))] == [
            "16",
            "32",
            "48",
        ]
    elif form == "table":
        assert all(len(line) <= 80 for line in result.out.splitlines())


def test_history_with_an_unreadable_row(call, tmp_path):
    directory = samples.copy("manager_run_221", tmp_path)
    (directory / "ckpt-8.index").write_bytes(b"broken")
    found = json.loads(call("inspect", directory, "--all", "--json").out)
    validator("history").validate(found)
    assert [("error" in row, row["verdict"]) for row in found["history"]] == [
        (False, "exact"),
        (True, None),
        (False, "exact"),
    ]
    assert "unreadable" in call("inspect", directory, "--all").out
    assert call("inspect", directory, "--all", "--require", "exact").status == 0
    (directory / "ckpt-12.index").write_bytes(b"broken")
    assert call("inspect", directory, "--all", "--require", "approximate").status == 1


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown", "ndjson"])
def test_output_file(call, tmp_path, form):
    path = tmp_path / "out"
    piped = call("inspect", EXACT, "--format", form).out
    result = call("inspect", EXACT, "--format", form, "-o", path)
    assert (result.status, result.out, result.err) == (0, "", "")
    assert path.read_text(encoding="utf-8") == piped


def test_failing_keeps_the_output_file(call, tmp_path):
    path = tmp_path / "out"
    path.write_text("before")
    assert call("inspect", "nothing", "-o", path).status == 2
    assert path.read_text() == "before"


# ------------------------------------------------------------ the table


@pytest.mark.parametrize("verbosity", ["", "-v", "-q"])
@pytest.mark.parametrize("target", samples.TARGETS)
def test_table_fits_a_pipe(call, target, verbosity):
    out = call("inspect", target, *filter(None, [verbosity])).out
    assert ESCAPE not in out
    assert max(map(len, out.splitlines())) <= 80
    assert all(line == line.rstrip() for line in out.splitlines())
    assert out.split()[0] in ("EXACT", "APPROXIMATE", "IMPOSSIBLE")
    if verbosity != "-q":
        # The chosen file is named, with the reason.
        info = ckptscope.inspect(target).checkpoint
        flat = " ".join(out.split())
        assert info.path in flat
        assert info.chosen_because in flat


def test_long_names_are_cut_to_fit(call, tmp_path):
    name = "/".join(["a_very_long_scope_name"] * 12)
    bundle = (
        writers.Bundle()
        .array(name, np.zeros((100, 200, 3, 3), "float32"))
        .array(f"{name}/Adam", np.zeros((100, 200, 3, 3), "float32"))
    )
    out = call("inspect", bundle.write(tmp_path / "c"), "-v").out
    assert max(map(len, out.splitlines())) <= 80


def test_show_elements_and_stats_fit(call):
    out = call("inspect", EXACT, "-v", "--stats", "--show-elements").out
    assert max(map(len, out.splitlines())) <= 80


def test_quiet_is_the_verdict_only(call):
    assert len(call("inspect", EXACT, "-q").out) < len(call("inspect", EXACT).out) / 3


def test_verbose_lists_every_variable(call):
    out = call("inspect", EXACT, "-v").out
    section = out[out.index("\nVariables") :]
    with ckptscope.open(EXACT) as checkpoint:
        assert len(section.strip().splitlines()) == len(checkpoint) + 2


def test_left_out_variables_are_counted(call):
    assert re.search(r"and \d+ more variables", call("inspect", EXACT).out)


@pytest.mark.parametrize(
    ("arguments", "env", "coloured"),
    [
        ((), {}, False),
        (("--color", "always"), {}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        ((), {"NO_COLOR": "1"}, False),
        (("--color", "auto"), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_color(call, monkeypatch, arguments, env, coloured):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert (ESCAPE in call("inspect", EXACT, *arguments).out) == coloured


def on_terminal(*arguments, env=None):
    """Output of a run whose stdout is a terminal."""
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ckptscope", *arguments],
        stdout=follower,
        stderr=subprocess.PIPE,
        env={
            **{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")},
            "TERM": "xterm-256color",
            **(env or {}),
        },
    )
    os.close(follower)
    output = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        output += piece
    os.close(leader)
    assert process.wait(timeout=60) == 0
    process.stderr.close()
    return output.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_color_on_a_terminal():
    assert ESCAPE in on_terminal("inspect", EXACT)
    assert ESCAPE not in on_terminal("inspect", EXACT, env={"NO_COLOR": "1"})
    assert ESCAPE not in on_terminal("inspect", EXACT, "--color", "never")


@pytest.mark.parametrize("form", [(), ("--json",), ("-v",)])
def test_reader_that_stops_early(form):
    """``ckptscope inspect … | head -1``"""
    command = [sys.executable, "-m", "ckptscope", "inspect", EXACT, *form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
        status = process.wait(timeout=60)
    assert err == b""
    assert status in (0, 141)
