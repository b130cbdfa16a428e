"""The full matrix of recipes, under this TensorFlow or another one.

    python tests/matrix.py                        in this environment
    python tests/matrix.py --tensorflow 2.15      in an environment made for it (Python 3.11)
    python tests/matrix.py --tensorflow 1.15      sessions, through the one file, on Python 3.7
    ... --write                                   puts the outcome into tests/matrix.txt

Environments are made once, below CKPTSCOPE_VENVS or the user's cache directory. CI runs a part of
the matrix; this is all of it."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "tests" / "matrix.txt"
CACHE = Path(os.environ.get("CKPTSCOPE_VENVS") or Path.home() / ".cache" / "ckptscope" / "venvs")
RECIPES = "tests/oracle/test_recipes.py"
OLD = ("tests/recording/test_old_python.py", "tests/recording/test_recipes.py")


def environment(version: str, packages: list[str], python: str) -> Path:
    """The Python of an environment that has what is asked for."""
    found, command = CACHE / f"tensorflow-{version}", shutil.which(python)
    if command is None:
        sys.exit(f"TensorFlow {version} needs {python}, which is not on the path")
    if not (found / "complete").exists():
        subprocess.run([command, "-m", "venv", "--clear", str(found)], check=True)
        pip = [str(found / "bin" / "python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, *packages], check=True, cwd=ROOT)
        (found / "complete").touch()
    return found / "bin" / "python"


def plan(version: str | None) -> tuple[list[str], dict[str, str]]:
    """The command that runs the matrix, and what it adds to the environment."""
    facts = {"CKPTSCOPE_FULL": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    if version is None:
        return [sys.executable, "-m", "pytest", RECIPES], facts
    if version.startswith("1."):
        packages = [f"tensorflow=={version}.*", "protobuf<3.21", "numpy<1.19"]
        old = environment(version, packages, "python3.7")
        facts["CKPTSCOPE_OLD_PYTHON"] = facts["CKPTSCOPE_RECIPES_PYTHON"] = str(old)
        return [sys.executable, "-m", "pytest", RECIPES, *OLD], facts
    packages = [f"tensorflow-cpu=={version}.*", "pytest>=8", "hypothesis", "-e", "."]
    python = environment(version, packages, "python3.11")
    return [str(python), "-m", "pytest", RECIPES], facts


def noted(title: str, outcome: str) -> None:
    """The last outcome of each version, in tests/matrix.txt."""
    text = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    parts = dict(re.findall(r"^== (.+?)\n(.*?)(?=^== |\Z)", text, re.MULTILINE | re.DOTALL))
    parts[title] = outcome.strip() + "\n\n"
    REPORT.write_text("".join(f"== {name}\n{parts[name]}" for name in sorted(parts)), "utf-8")


def main() -> int:
    """Run it; the exit status is that of pytest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tensorflow", metavar="VERSION", help="1.15, 2.15 or newer")
    parser.add_argument("--write", action="store_true", help="note the outcome in tests/matrix.txt")
    arguments, others = parser.parse_known_args()
    command, facts = plan(arguments.tensorflow)
    command += ["-q", "-rs", "-p", "no:cacheprovider", "-v", "--no-header", *others]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **facts}, stdout=subprocess.PIPE, text=True
    )
    print(done.stdout)
    if arguments.write:
        kept = [
            re.sub(
                r"\s+\[ *\d+%\]$", "", line.replace(f"{RECIPES}::test_what_is_recorded_was_", "")
            )
            for line in done.stdout.splitlines()
            if re.search(r" (PASSED|FAILED|ERROR|SKIPPED)|^SKIPPED|passed|failed", line)
        ]
        day = time.strftime("%Y-%m-%d")
        name = "this environment's" if arguments.tensorflow is None else arguments.tensorflow
        noted(f"TensorFlow {name}, {day}", "\n".join(kept))
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
