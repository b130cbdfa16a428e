"""Print the modules of this directory as one file, which runs on Python 3.7 and newer:

python ckptscope/recording/portable > ckptscope_portable.py"""

from __future__ import annotations

import ast
import os
import sys

MODULES = (
    "guard layout journal writer checkpoints states attempt loop hook callback __init__".split()
)


def bundle(directory: str) -> str:
    """All modules one after the other; what they import of each other is there already."""
    texts = [_source(directory, name) for name in MODULES]
    # The docstring of the package is that of the file, and __future__ comes before everything.
    docstring = ast.get_docstring(ast.parse(texts[-1]), clean=False)
    parts = ['"""%s"""' % docstring, "from __future__ import annotations"]
    return "\n\n".join(parts + [_body(text).strip("\n") for text in texts]) + "\n"


def _source(directory: str, name: str) -> str:
    with open(os.path.join(directory, name + ".py"), encoding="utf-8") as file:
        return file.read()


def _body(text: str) -> str:
    """A module without its docstring and the imports from this package and ``__future__``."""
    lines = text.splitlines()
    nodes = ast.parse(text).body
    for node, after in reversed(list(zip(nodes, nodes[1:] + [None]))):
        is_import = isinstance(node, ast.ImportFrom) and (node.level or node.module == "__future__")
        if is_import or (isinstance(node, ast.Expr) and node is nodes[0]):
            first = node.lineno - 1
            if node is nodes[0]:
                first = 0
            del lines[first : _end(node, after, lines)]
    return "\n".join(lines)


def _end(node: ast.stmt, after: ast.stmt | None, lines: list[str]) -> int:
    """The line behind a statement; Python 3.7 does not say where it ends."""
    end = len(lines) if after is None else after.lineno - 1
    while end > node.lineno and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return end


if __name__ == "__main__":
    sys.stdout.write(bundle(os.path.dirname(os.path.abspath(__file__))))
