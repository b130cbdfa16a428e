"""The command line: parse arguments, call the library, choose a renderer, set the exit status. No logic.

Exit status of ``inspect``: 0 readable (and at least what --require asks), 1 --require not met, 2 usage, not found or
unreadable. Of ``verify``: 0 intact, 1 damaged, 2 as before.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from ckptscope.errors import CheckpointNotFoundError, CkptscopeError, UsageError
from ckptscope.version import VERSION

if TYPE_CHECKING:
    from ckptscope.inspection import Inspection, RunHistory

app = typer.Typer(
    name="ckptscope",
    help="What is in a TensorFlow checkpoint, where its data stands, and whether the run resumes exactly.",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """Output formats."""

    table = "table"
    json = "json"
    ndjson = "ndjson"
    csv = "csv"
    markdown = "markdown"


class Color(StrEnum):
    """When to colour."""

    auto = "auto"
    always = "always"
    never = "never"


class Require(StrEnum):
    """What a gate can ask for."""

    exact = "exact"
    approximate = "approximate"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ckptscope {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="A prefix, a member file, a directory, a state file, or DIR@STEP.")],
    step: Annotated[str | None, typer.Option(metavar="N|latest|-K", help="Which checkpoint of a directory.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="One row for each checkpoint of a directory.")] = False,
    require: Annotated[Require | None, typer.Option(help="Exit 1 if the verdict is worse.")] = None,
    strict: Annotated[
        bool, typer.Option(help="As --require exact; conditions raised by evidence count as failing.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Examples of a full batch.")] = None,
    epoch_size: Annotated[int | None, typer.Option(min=1, help="Examples that one pass delivers.")] = None,
    global_seed: Annotated[int | None, typer.Option(help="tf.random.set_seed of the program.")] = None,
    shuffle_seed: Annotated[int | None, typer.Option(help="seed= of its shuffle.")] = None,
    data_root: Annotated[str | None, typer.Option(help="Where the data files are.")] = None,
    verify_: Annotated[bool, typer.Option("--verify", help="Read every checksum, whatever the size.")] = False,
    show_elements: Annotated[bool, typer.Option(help="Show what is in buffers (the user's data).")] = False,
    stats: Annotated[bool, typer.Option(help="Statistics of each variable (reads all data).")] = False,
    tensor: Annotated[str | None, typer.Option(metavar="KEY", help="Print the values of one variable.")] = None,
    slice_: Annotated[
        str | None, typer.Option("--slice", metavar="EXPR", help="Part of it, in NumPy's syntax: 0,:")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="List these variables only.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Do not list these variables.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
    json_: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file.")] = None,
    color: Annotated[Color, typer.Option(help="When to colour.")] = Color.auto,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="The verdict only.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Everything.")] = False,
) -> None:
    """What is in a checkpoint, where its data stands, and whether the run resumes exactly.

    Exit status: 0 readable (and at least what --require asks), 1 --require not met, 2 not found or unreadable.
    """
    chosen = Format.json if json_ else format_
    asked = "exact" if strict else require.value if require is not None else None
    hints: dict[str, Any] = {
        "batch_size": batch_size, "epoch_size": epoch_size, "global_seed": global_seed, "shuffle_seed": shuffle_seed,
        "data_root": data_root, "verify": verify_,
    }  # fmt: skip
    from ckptscope import inspection as library

    verbosity = -1 if quiet else int(verbose)
    with _reporting(chosen, path):
        if slice_ is not None and tensor is None:
            raise UsageError("--slice needs --tensor")
        if tensor is not None:
            _write(output, lambda file: _tensor(path, step, tensor, slice_, chosen, file))
            return
        if all_:
            history = library.inspect_all(path, **hints)
            _write(output, lambda file: _render_history(history, chosen, color.value, file))
            newest = history.rows[-1]
            verdict, evidence = newest.verdict or "impossible", False
        else:
            with _progress() as progress:
                found = library.inspect(
                    path, step=step, stats=stats, show_elements=show_elements, only=only or (), ignore=ignore or (),
                    require=asked, progress=progress, **hints,
                )  # fmt: skip
            _write(output, lambda file: _render(found, chosen, color.value, verbosity, file))
            verdict = found.resume.verdict
            evidence = any(condition.source == "evidence" for condition in found.resume.conditions)
    if asked is not None and (not library.meets(verdict, asked) or (strict and evidence)):
        raise typer.Exit(1)


@app.command()
def verify(
    path: Annotated[str, typer.Argument(help="As for inspect.")],
    step: Annotated[str | None, typer.Option(metavar="N|latest|-K", help="Which checkpoint of a directory.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare every byte with its checksum. Exit status: 0 intact, 1 damaged, 2 not found or unreadable."""
    with _reporting(Format.json if json_ else Format.table, path):
        from ckptscope.checkpoint.discover import find
        from ckptscope.render.verification import damage_text, damage_to_jsonable

        with find(path, step).open() as checkpoint, _progress() as progress:
            damage = checkpoint.reader.check(checkpoint.entries, True, progress)
        if json_:
            from ckptscope.render.jsonable import dumps

            typer.echo(dumps(damage_to_jsonable(checkpoint, damage)))
        else:
            typer.echo(damage_text(checkpoint, damage))
    if any(item.fatal for item in damage):
        raise typer.Exit(1)


@app.command()
def explain(code: Annotated[str, typer.Argument(help="A finding's or condition's code, e.g. DATA002.")]) -> None:
    """What a finding means and how to fix it, per framework."""
    from ckptscope.render.explanation import explanation_text
    from ckptscope.resume.report import codes
    from ckptscope.resume.report import explain as look_up

    rule = look_up(code)
    if rule is None:
        _fail(UsageError(f"no finding has the code {code}; there are {', '.join(codes())}"))
    else:
        typer.echo(explanation_text(rule))


# ---------------------------------------------------------------------------------------------------- plumbing


class _reporting:
    """Turn errors of the library into one message and exit status 2; under JSON also into an object on stdout."""

    def __init__(self, chosen: Format, path: str) -> None:
        self._json = chosen in (Format.json, Format.ndjson)
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (OSError, MemoryError, RecursionError)) and not isinstance(
            error, (CkptscopeError, BrokenPipeError)
        ):
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            error = CkptscopeError(f"cannot be read: {reason}", path=getattr(error, "filename", None) or self._path)
        if isinstance(error, CkptscopeError):
            if self._json:
                from ckptscope.render.jsonable import dumps, error_to_jsonable

                typer.echo(dumps(error_to_jsonable(error)))
            _fail(error)


def _fail(error: CkptscopeError) -> None:
    typer.echo(f"ckptscope: {error}", err=True)
    if isinstance(error, CheckpointNotFoundError) and not os.path.lexists(error.path or ""):
        typer.echo("Forms that are read: prefix, .index, .data-…, .meta, directory, state file, DIR@STEP.", err=True)
    raise typer.Exit(2)


def _write(output: str | None, render: Any) -> None:
    if output is None:
        render(sys.stdout)
        return
    with open(output, "w", encoding="utf-8") as file:
        render(file)


def _render(found: Inspection, chosen: Format, color: str, verbosity: int, file: IO[str]) -> None:
    if chosen is Format.json:
        file.write(found.to_json() + "\n")
    elif chosen is Format.ndjson:
        from ckptscope.render.jsonable import dumps, inspection_to_jsonable

        file.write(dumps(inspection_to_jsonable(found), indent=None) + "\n")
    elif chosen is Format.csv:
        from ckptscope.render.tabular import variables_csv

        file.write(variables_csv(found))
    elif chosen is Format.markdown:
        from ckptscope.render.tabular import inspection_markdown

        file.write(inspection_markdown(found))
    else:
        from ckptscope.render.text import console_for, print_inspection

        print_inspection(found, console_for(file, color), verbosity)


def _render_history(history: RunHistory, chosen: Format, color: str, file: IO[str]) -> None:
    if chosen is Format.json:
        file.write(history.to_json() + "\n")
    elif chosen is Format.ndjson:
        from ckptscope.render.jsonable import dumps, history_row_to_jsonable

        file.writelines(dumps(history_row_to_jsonable(row), indent=None) + "\n" for row in history.rows)
    elif chosen is Format.csv:
        from ckptscope.render.tabular import history_csv

        file.write(history_csv(history))
    elif chosen is Format.markdown:
        from ckptscope.render.tabular import history_markdown

        file.write(history_markdown(history))
    else:
        from ckptscope.render.text import console_for, print_history

        print_history(history, console_for(file, color))


def _tensor(path: str, step: str | None, key: str, part: str | None, chosen: Format, file: IO[str]) -> None:
    from ckptscope.inspection import open_checkpoint
    from ckptscope.render.jsonable import dumps
    from ckptscope.render.values import take, values_text, values_to_jsonable

    with open_checkpoint(path, step=step) as checkpoint:
        values = take(checkpoint[key], part)
        if chosen in (Format.json, Format.ndjson):
            shown = values_to_jsonable(key, checkpoint.entry(key).dtype.name, values)
            file.write(dumps(shown, indent=None if chosen is Format.ndjson else 2) + "\n")
        else:
            file.write(values_text(values) + "\n")


class _progress:
    """Bytes read, on stderr, only on a terminal and only for what takes longer than a second."""

    def __init__(self) -> None:
        self._done = 0
        self._next = 0.0
        self._shown = False

    def __enter__(self) -> Any:
        if not sys.stderr.isatty():
            return None
        import time

        self._clock = time.monotonic
        self._start = self._clock()
        self._next = self._start + 1
        return self._advance

    def _advance(self, nbytes: int) -> None:
        self._done += nbytes
        now = self._clock()
        if now >= self._next:
            self._next = now + 0.2
            self._shown = True
            rate = self._done / 1e6 / (now - self._start)
            sys.stderr.write(f"\rchecked {self._done / 1e6:,.0f} MB, {rate:,.0f} MB/s ")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")


def main() -> None:
    """Entry point of the ``ckptscope`` command."""
    try:
        app()
    except BrokenPipeError:
        # The reader (head, less) has gone: that is no error. Keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
