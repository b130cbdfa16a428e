from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import ckptscope as cs
from ckptscope import errors
from tests import samples, writers
from tests.command import ROOT, python

# A callback and a hook derive from classes of Keras and TensorFlow, so these two modules import
# them.
RECORDERS = ("ckptscope.keras", "ckptscope.recording.estimator_hook")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(cs.__path__, "ckptscope.")
    if not module.name.endswith("__main__") and module.name not in RECORDERS
)
SOURCES = sorted((ROOT / "ckptscope").rglob("*.py"))


def test_all_is_sorted_and_there():
    assert list(cs.__all__) == sorted(cs.__all__)
    assert len(set(cs.__all__)) == len(cs.__all__)
    for name in cs.__all__:
        assert getattr(cs, name) is not None
    assert {"inspect", "open", "CkptscopeError", "__version__"} <= set(cs.__all__)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="nothing"):
        cs.nothing  # noqa: B018


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_have_docstrings(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module"
    stack = [(node, "") for node in tree.body]
    while stack:
        node, owner = stack.pop()
        if not isinstance(
            node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        ) or node.name.startswith("_"):
            continue
        if _is_rule(node):
            continue
        assert ast.get_docstring(node), f"{owner}{node.name}"
        if isinstance(node, ast.ClassDef):
            stack += [(inner, f"{node.name}.") for inner in node.body]


def _is_rule(node):
    """A rule of the judge: what it says stands in its decorator, which `explain` prints."""
    return any(ast.unparse(item).startswith("BOOK.") for item in node.decorator_list)


@pytest.mark.parametrize("name", MODULES)
def test_annotations_are_complete(name):
    """Typing :: Typed: every public function says what it takes and gives."""
    module = importlib.import_module(name)
    for function in vars(module).values():
        if (
            inspect.isfunction(function)
            and function.__module__ == name
            and not function.__name__.startswith("_")
        ):
            signature = inspect.signature(function)
            assert signature.return_annotation is not inspect.Signature.empty, function
            assert all(p.annotation is not p.empty for p in signature.parameters.values()), function


BLOCKED = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "tf_keras", "tensorflow_cpu"):
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Block())
for name in {modules!r}:
    importlib.import_module(name)
import ckptscope
for target in {targets!r}:
    found = ckptscope.inspect(target, stats=True, show_elements=True, verify=True)
    found.to_json(), found.to_frame(), found._repr_html_()
assert not [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras")]
"""


def test_everything_works_without_tensorflow():
    code = BLOCKED.format(
        modules=["ckptscope", *MODULES],
        targets=["full_221", "saver_v1_115", "estimator_hook_115", "savedmodel_215"],
    )
    result = python(code, cwd=samples.ROOT)
    assert (result.returncode, result.stderr) == (0, "")


def test_plain_import_is_light():
    result = python(
        "import sys, ckptscope; print(*(n for n in "
        "('numpy','pandas','rich','typer','google') if n in sys.modules))"
    )
    assert result.stdout.split() == []


# ------------------------------------------------------------ errors

ERRORS = [
    item
    for item in vars(errors).values()
    if inspect.isclass(item) and issubclass(item, errors.CkptscopeError)
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors(error):
    assert re.fullmatch(r"[A-Z_]+", error.code)
    raised = error("what happened", path="a/b")
    assert "what happened" in str(raised)
    assert str(raised).count("a/b") == 1
    assert isinstance(raised, errors.CkptscopeError)


def test_error_codes_are_unique():
    assert len({error.code for error in ERRORS}) == len(ERRORS)


def test_errors_are_also_the_builtin_ones():
    with pytest.raises(FileNotFoundError):
        cs.open("no/such/place")
    with cs.open(samples.ROOT / "full_221") as checkpoint, pytest.raises(LookupError):
        checkpoint["nothing"]


# ------------------------------------------------------------ objects


def test_open_takes_paths_and_steps():
    with cs.open(samples.ROOT / "manager_run_221", step=4) as checkpoint:
        assert checkpoint.prefix.endswith("ckpt-4")
        assert checkpoint["step/.ATTRIBUTES/VARIABLE_VALUE"].tolist() == 4
        assert "step/.ATTRIBUTES/VARIABLE_VALUE" in checkpoint
        assert len(checkpoint) == len(list(checkpoint))


@pytest.mark.parametrize("target", ["full_221", "saver_v1_115", "read/dtypes_221"])
def test_frame_of_an_inspection(target):
    found = cs.inspect(samples.ROOT / target)
    frame = found.to_frame()
    rows = json.loads(found.to_json())["variables"]
    assert len(frame) == len(rows) == found.checkpoint.num_variables
    assert frame["key"].tolist() == [row["key"] for row in rows]
    assert frame["shape"].tolist() == [tuple(row["shape"]) for row in rows]
    assert frame["nbytes"].sum() == sum(group.nbytes for group in found.groups)
    assert {"key", "dtype", "shape", "nbytes", "role", "slot_of"} <= set(frame.columns)


def test_frame_with_statistics():
    frame = cs.inspect(samples.ROOT / "full_221", stats=True).to_frame().set_index("key")
    with cs.open(samples.ROOT / "full_221") as checkpoint:
        for key, row in frame.iterrows():
            if row["dtype"].startswith("float"):
                assert row["mean"] == pytest.approx(float(checkpoint[key].astype("float64").mean()))
                assert row["num_elements"] == checkpoint[key].size


def test_frame_of_a_history():
    frame = cs.inspect_all(samples.ROOT / "manager_run_221").to_frame()
    assert frame["step"].tolist() == [4, 8, 12]
    assert frame["examples_consumed"].tolist() == [16, 32, 48]
    assert frame["verdict"].tolist() == ["exact"] * 3


def test_objects_are_frozen():
    found = cs.inspect(samples.ROOT / "full_221")
    for target, name in ((found, "resume"), (found.resume, "verdict"), (found.checkpoint, "path")):
        with pytest.raises(AttributeError):
            setattr(target, name, None)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


NASTY = "<script>alert(1)</script>&\"'"


def test_html_is_escaped(tmp_path):
    directory = tmp_path / "<img src=x>"
    directory.mkdir()
    bundle = writers.Bundle().array(NASTY, np.ones(2, "float32")).array("global_step", np.array(3))
    bundle.variant(
        f"{NASTY}/state", writers.named_state({f"Iterator::Root::{NASTY}": {"i": np.int64(1)}})
    )
    html = cs.inspect(bundle.write(directory / "ckpt-3"))._repr_html_()
    parser = Tags()
    parser.feed(html)
    assert parser.open == []
    assert not parser.seen & {"script", "img", "style", "link", "iframe"}
    assert "<script" not in html
    assert "&lt;img src=x&gt;" in html


@pytest.mark.parametrize("target", samples.TARGETS)
def test_html_of_samples_is_well_formed(target, in_samples):
    parser = Tags()
    parser.feed(cs.inspect(target)._repr_html_())
    assert parser.open == []
    assert "table" in parser.seen


def test_terminal_escapes_in_names_are_not_printed(tmp_path, in_samples):
    """A hostile key must not reach the terminal as control characters."""
    import io

    from ckptscope.render.screen import console_for
    from ckptscope.render.text import print_inspection

    bundle = (
        writers.Bundle()
        .array("evil\x1b[31m\x1b]0;title\x07", np.ones((50, 50), "float32"))
        .array("global_step", np.array(3))
    )
    buffer = io.StringIO()
    print_inspection(cs.inspect(bundle.write(tmp_path / "c")), console_for(buffer), 1)
    assert "\x1b" not in buffer.getvalue()
    assert "\x07" not in buffer.getvalue()
