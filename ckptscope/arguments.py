"""The command line's arguments as one table, and a quick parser over it.

Typer (with what it imports to parse) costs more CPU than inspecting a small checkpoint does, so
ordinary calls are parsed with argparse; help, completion, versions and usage errors go to the Typer
app of :mod:`ckptscope.cli`, which is built from the same table."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any, Literal

FORMATS = ("table", "json", "ndjson", "csv", "markdown")
COLORS = ("auto", "always", "never")
REQUIREMENTS = ("exact", "approximate")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument or option.

    Attributes:
        name: Python name of its value.
        flags: spellings; empty for a positional argument.
        kind: ``flag`` takes no value, ``texts`` may be given several times, ``pair`` takes two
            values, ``switch`` has an opposite (``--no-…``) and is None where neither is given.
        choices: allowed values of a ``text``.
        minimum: smallest allowed ``integer`` or ``number``.
        optional: a positional argument that may be left out.
    """

    name: str
    help: str
    flags: tuple[str, ...] = ()
    kind: Literal["flag", "text", "texts", "integer", "number", "pair", "switch"] = "text"
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None
    minimum: int | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One command with its arguments; ``help`` ends with the exit statuses."""

    name: str
    help: str
    arguments: tuple[Argument, ...]


_PATH = Argument("path", "A prefix, a member file, a directory, a state file, or DIR@STEP.")
_STEP = Argument("step", "Which checkpoint of a directory.", ("--step",), metavar="N|latest|-K")
_HINTS = (
    Argument(
        "batch_size", "Examples of a full batch.", ("--batch-size",), "integer", "N", minimum=1
    ),
    Argument(
        "epoch_size",
        "Examples that one pass delivers.",
        ("--epoch-size",),
        "integer",
        "N",
        minimum=1,
    ),
    Argument(
        "global_seed", "tf.random.set_seed of the program.", ("--global-seed",), "integer", "N"
    ),
    Argument("shuffle_seed", "seed= of its shuffle.", ("--shuffle-seed",), "integer", "N"),
    Argument("data_root", "Where the data files are.", ("--data-root",), metavar="DIR"),
)
_FORMAT = (
    Argument("format", "Output format.", ("--format",), choices=FORMATS, default="table"),
    Argument("json", "The same as --format json.", ("--json",), "flag"),
    Argument("output", "Write to a file.", ("-o", "--output"), metavar="FILE"),
    Argument("color", "When to colour.", ("--color",), choices=COLORS, default="auto"),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "inspect",
        "What is in a checkpoint, where its data stands, and whether the run resumes exactly.\n\n"
        "Exit status: 0 readable (and at least what --require asks), 1 --require not "
        "met, 2 not found or unreadable.",
        (
            _PATH,
            _STEP,
            Argument("all", "One row for each checkpoint of a directory.", ("--all",), "flag"),
            Argument(
                "require", "Exit 1 if the verdict is worse.", ("--require",), choices=REQUIREMENTS
            ),
            Argument(
                "strict",
                "As --require exact; conditions raised by evidence fail, too.",
                ("--strict",),
                "flag",
            ),
            *_HINTS,
            Argument("verify", "Read every checksum, whatever the size.", ("--verify",), "flag"),
            Argument(
                "show_elements",
                "Show what is in buffers (the user's data).",
                ("--show-elements",),
                "flag",
            ),
            Argument(
                "stats", "Statistics of each variable (reads all data).", ("--stats",), "flag"
            ),
            Argument(
                "tensor",
                "Print the values of one variable, by its key or any name shown.",
                ("--tensor",),
                metavar="KEY",
            ),
            Argument("slice", "Part of it, in NumPy's syntax: 0,:", ("--slice",), metavar="EXPR"),
            Argument(
                "only", "List these variables only, by key or name.", ("--only",), "texts", "GLOB"
            ),
            Argument("ignore", "Do not list these variables.", ("--ignore",), "texts", "GLOB"),
            *_FORMAT,
            Argument("quiet", "The verdict only.", ("-q", "--quiet"), "flag"),
            Argument("verbose", "Everything.", ("-v", "--verbose"), "flag"),
        ),
    ),
    Command(
        "diff",
        "What changed between two checkpoints: weights, training state, and how far the "
        "data moved.\n\n"
        "With one directory its last two checkpoints are compared.\n\n"
        "Exit status: 0 same, 1 different, 2 not found or unreadable.",
        (
            Argument("a", "A checkpoint, as for inspect; or a directory.", metavar="A"),
            Argument("b", "The checkpoint to compare it with.", metavar="B", optional=True),
            Argument("step", "Which checkpoint of each.", ("--step",), "pair", "X Y"),
            Argument(
                "rtol", "Relative tolerance, as in NumPy.", ("--rtol",), "number", "R", minimum=0
            ),
            Argument(
                "atol", "Absolute tolerance, as in NumPy.", ("--atol",), "number", "A", minimum=0
            ),
            Argument("equal_nan", "NaN equals NaN.", ("--equal-nan",), "switch"),
            Argument(
                "only",
                "Compare these variables only, by key or name.",
                ("--only",),
                "texts",
                "GLOB",
            ),
            Argument("ignore", "Do not compare these variables.", ("--ignore",), "texts", "GLOB"),
            Argument(
                "map",
                "A's name of a variable (or of what its name begins with), and B's.",
                ("--map",),
                "texts",
                "OLD=NEW",
            ),
            Argument(
                "strip_prefix",
                "Names count without this beginning.",
                ("--strip-prefix",),
                "texts",
                "P",
            ),
            Argument(
                "verify_data",
                "Read everything, and verify all checksums.",
                ("--verify-data",),
                "flag",
            ),
            *_HINTS,
            Argument(
                "top", "Show so many of the largest changes.", ("--top",), "integer", "N", minimum=0
            ),
            Argument("stat", "One line for each role, and totals.", ("--stat",), "flag"),
            *_FORMAT,
            Argument(
                "quiet",
                "The answer only; elements are counted, not measured.",
                ("-q", "--quiet"),
                "flag",
            ),
            Argument("verbose", "Everything.", ("-v", "--verbose"), "flag"),
        ),
    ),
    Command(
        "verify",
        "Compare every byte with its checksum, and say what is named and not stored.\n\nExit status: 0 intact, 1 damaged, 2 "
        "not found or unreadable.",
        (_PATH, _STEP, Argument("json", "Print JSON.", ("--json",), "flag")),
    ),
    Command(
        "report",
        "Everything that the TensorBoard tab shows of the runs below a directory, as one "
        "HTML file that opens offline.\n\n"
        "Exit status: 0 written, 2 nothing found, or it cannot be written.",
        (
            Argument("path", "The directory of a run, or of several.", metavar="DIR"),
            Argument(
                "output",
                "The file to write; standard output if that is no terminal.",
                ("-o", "--output"),
                metavar="FILE",
            ),
        ),
    ),
    Command(
        "explain",
        "What a finding or condition means and how to fix it, per framework.\n\nExit "
        "status: 0, or 2 for an unknown code.",
        (Argument("code", "A code, e.g. DATA002."),),
    ),
)


class _QuietParser(argparse.ArgumentParser):
    """A parser that leaves every error to somebody else."""

    def error(self, message: str) -> Any:
        raise argparse.ArgumentError(None, message)


def parse(argv: list[str]) -> tuple[str, dict[str, Any]] | None:
    """(command, values by name) of an ordinary call; None for everything that Typer should
    answer.
    """
    command = next((known for known in COMMANDS if argv and known.name == argv[0]), None)
    if command is None:
        return None
    parser = _QuietParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for argument in command.arguments:
        options: dict[str, Any] = {}
        if argument.flags:
            options["dest"] = argument.name
        elif argument.optional:
            options["nargs"] = "?"
        if argument.kind == "flag":
            options["action"] = "store_true"
        elif argument.kind == "switch":
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["default"] = argument.default
            options["choices"] = argument.choices or None
            if argument.kind == "texts":
                options["action"] = "append"
            elif argument.kind == "pair":
                options["nargs"] = 2
            elif argument.kind in ("integer", "number"):
                options["type"] = int if argument.kind == "integer" else float
        parser.add_argument(*(argument.flags or (argument.name,)), **options)
    try:
        values = vars(parser.parse_args(_joined(argv[1:], command)))
    except (argparse.ArgumentError, argparse.ArgumentTypeError):
        return None
    for argument in command.arguments:
        value = values[argument.name]
        if argument.minimum is not None and value is not None and not value >= argument.minimum:
            return None
    return command.name, values


def _joined(argv: list[str], command: Command) -> list[str]:
    """``--step -2`` as ``--step=-2``: argparse takes a value that begins with a dash for an
    option.
    """
    takes_value = {
        flag
        for argument in command.arguments
        if argument.kind not in ("flag", "switch", "pair")
        for flag in argument.flags
    }
    joined: list[str] = []
    for word in argv:
        negative = len(word) > 1 and word[0] == "-" and word[1:].isdigit()
        if joined and negative and joined[-1] in takes_value and joined[-1].startswith("--"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
