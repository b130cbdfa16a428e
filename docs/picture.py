"""Draw the README's picture from what the command prints about a shipped sample.

python docs/picture.py            # writes docs/inspect.svg
python docs/picture.py --check    # exits 1 if it is not current
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

import ckptscope as cs
from ckptscope.render.text import print_inspection

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "inspect.svg"
SAMPLE = "sample_ckpts/estimator_plain_215"
LINES = 34


def draw() -> str:
    """The first screen of the sample's inspection as SVG."""
    os.chdir(ROOT)
    captured = Console(
        file=io.StringIO(), width=80, force_terminal=True, color_system="standard", highlight=False
    )
    print_inspection(cs.inspect(SAMPLE), captured)
    printed = captured.file.getvalue()  # type: ignore[attr-defined]
    shown = Console(record=True, width=80, file=io.StringIO(), force_terminal=True, highlight=False)
    shown.print(Text(f"$ ckptscope inspect {SAMPLE}", style="bold"))
    shown.print(Text.from_ansi("\n".join(printed.split("\n")[:LINES])))
    return shown.export_svg(title="ckptscope", unique_id="ckptscope")


def main() -> int:
    """Write the picture, or compare it."""
    picture = draw()
    if "--check" in sys.argv:
        current = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == picture
        print(
            f"{PICTURE.relative_to(ROOT)} is "
            f"{'current' if current else 'not current: run python docs/picture.py'}"
        )
        return 0 if current else 1
    PICTURE.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
