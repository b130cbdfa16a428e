"""The command line: parse arguments, call the library, choose a renderer, set the exit status. No
logic.

Exit status of ``inspect``: 0 readable (and at least what --require asks), 1 --require not met, 2
usage, not found or unreadable. Of ``diff``: 0 same, 1 different, 2 as before. Of ``verify``: 0
intact, 1 damaged, 2 as before."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, Any

from ckptscope.arguments import COMMANDS, Argument, Command, parse
from ckptscope.errors import CheckpointNotFoundError, CkptscopeError, UsageError
from ckptscope.version import VERSION

if TYPE_CHECKING:
    import typer

    from ckptscope.checkpoint.location import Remark
    from ckptscope.comparison.model import CheckpointDiff
    from ckptscope.inspection import Inspection
    from ckptscope.run_history import RunHistory

_JSON_WORDS = frozenset(("--json", "json", "ndjson"))
_HINTS = ("batch_size", "epoch_size", "global_seed", "shuffle_seed", "data_root")
NOT_MET = 1
TROUBLE = 2
INTERRUPTED = 130


def inspect(options: dict[str, Any]) -> int:
    """``ckptscope inspect``; returns the exit status."""
    from ckptscope import inspection as library
    from ckptscope.render.progress import advance_of, progress

    chosen = _format(options)
    required = "exact" if options["strict"] else options["require"]
    hints = {name: options[name] for name in (*_HINTS, "verify")}
    path, color, evidence = options["path"], options["color"], False
    if options["slice"] is not None and options["tensor"] is None:
        raise UsageError("--slice needs --tensor")
    if options["tensor"] is not None:
        _write(options["output"], lambda file: _tensor(options, chosen, file))
        return 0
    if options["all"]:
        from ckptscope.run_history import inspect_all

        history = inspect_all(path, **hints)
        _write(options["output"], lambda file: _render_history(history, chosen, color, file))
        newest = (
            history.rows[-1] if history.rows else None
        )  # a recording without checkpoints has none
        verdict = (newest.verdict if newest is not None else None) or "impossible"
        evidence = newest is not None and newest.has_evidence_conditions
    else:
        with progress("checking") as bar:
            found = library.inspect(
                path,
                step=options["step"],
                stats=options["stats"],
                show_elements=options["show_elements"],
                only=options["only"] or (),
                ignore=options["ignore"] or (),
                require=required,
                progress=advance_of(bar),
                **hints,
            )
        verbosity = _verbosity(options)
        _tell(found.remarks)
        _write(options["output"], lambda file: _render(found, chosen, color, verbosity, file))
        verdict = found.resume.verdict
        evidence = any(condition.source == "evidence" for condition in found.resume.conditions)
    missed = required is not None and (
        not library.meets(verdict, required) or (options["strict"] and evidence)
    )
    return NOT_MET if missed else 0


def _format(options: dict[str, Any]) -> str:
    return "json" if options["json"] else str(options["format"])


def _verbosity(options: dict[str, Any]) -> int:
    return -1 if options["quiet"] else int(options["verbose"])


def diff(options: dict[str, Any]) -> int:
    """``ckptscope diff``; returns the exit status."""
    from ckptscope.comparison import compare as library
    from ckptscope.render.progress import progress

    with progress("comparing") as bar:
        names = (*_HINTS, "rtol", "atol", "equal_nan", "verify_data")
        with library.diff(
            options["a"],
            options["b"],
            step=options["step"],
            only=options["only"] or (),
            ignore=options["ignore"] or (),
            maps=options["map"] or (),
            strip_prefix=options["strip_prefix"] or (),
            measured=not options["quiet"] or _format(options) != "table",
            progress=bar,
            **{name: options[name] for name in names},
        ) as comparison:
            found = comparison.collect()
    _tell(found.remarks)
    _write(options["output"], lambda file: _render_diff(found, options, file))
    return 0 if found.summary.same else NOT_MET


def verify(options: dict[str, Any]) -> int:
    """``ckptscope verify``; returns the exit status."""
    from ckptscope.checkpoint.discover import find
    from ckptscope.checkpoint.verification import verify_all
    from ckptscope.render.jsonable import dumps
    from ckptscope.render.progress import advance_of, progress
    from ckptscope.render.verification import damage_text, damage_to_jsonable

    location = find(options["path"], options["step"])
    _tell(location.remarks)
    with location.open() as checkpoint, progress("checking") as bar:
        damage = verify_all(location, checkpoint, advance_of(bar))
    if options["json"]:
        print(dumps(damage_to_jsonable(checkpoint, damage)))
    else:
        print(damage_text(checkpoint, damage))
    return NOT_MET if any(item.fatal for item in damage) else 0


def _tell(remarks: Iterable[Remark]) -> None:
    """Say on stderr what a person should know of a directory: to a terminal; which of two
    checkpoints a step means, anywhere.
    """
    from ckptscope.render.words import printable

    for remark in remarks:
        if remark.kind == "step_or_number" or sys.stderr.isatty():
            print(f"ckptscope: {printable(remark.text)}", file=sys.stderr)


def explain(options: dict[str, Any]) -> int:
    """``ckptscope explain``; returns the exit status."""
    from ckptscope.codes import codes
    from ckptscope.codes import explain as look_up
    from ckptscope.render.explanation import explanation_text

    rule = look_up(options["code"])
    if rule is None:
        raise UsageError(f"nothing has the code {options['code']}; there are {', '.join(codes())}")
    print(explanation_text(rule))
    return 0


def report(options: dict[str, Any]) -> int:
    """``ckptscope report``; returns the exit status."""
    from ckptscope.render.progress import advance_of, progress
    from ckptscope.render.words import plural, size
    from ckptscope.report import make_report

    output = options["output"]
    if output is None and sys.stdout.isatty():
        raise UsageError("name the file to write: -o report.html")
    with progress("reading checkpoints", counts_items=True) as bar:
        made = make_report(options["path"], progress=advance_of(bar))
    _write(output, lambda file: print(made.html, end="", file=file))
    if sys.stderr.isatty() and output is not None:
        told = f"{plural(made.num_runs, 'run')}, {plural(made.num_checkpoints, 'checkpoint')}"
        print(f"{output}: {told}, {size(len(made.html.encode()))}", file=sys.stderr)
    return 0


_RUN: dict[str, Callable[[dict[str, Any]], int]] = {
    "inspect": inspect,
    "diff": diff,
    "verify": verify,
    "report": report,
    "explain": explain,
}


def run(command: str, options: dict[str, Any]) -> int:
    """Run one command; every error becomes one message and exit status 2."""
    try:
        return _RUN[command](options)
    except BrokenPipeError:
        raise
    except CkptscopeError as error:
        return _report(error, options)
    except (OSError, MemoryError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        path = getattr(error, "filename", None) or options.get("path") or options.get("a")
        return _report(CkptscopeError(f"cannot be read or written: {reason}", path=path), options)


def _report(error: CkptscopeError, options: dict[str, Any]) -> int:
    if options.get("json") or options.get("format") in ("json", "ndjson"):
        from ckptscope.render.jsonable import dumps, error_to_jsonable

        print(dumps(error_to_jsonable(error)))
    from ckptscope.render.words import printable

    print(f"ckptscope: {printable(str(error))}", file=sys.stderr)
    if isinstance(error, CheckpointNotFoundError) and not os.path.lexists(error.path or ""):
        print(
            "What is read: a prefix, .index, .data-…, .meta, a directory, a state file, DIR@STEP.",
            file=sys.stderr,
        )
    return TROUBLE


def main() -> None:
    """Entry point of the ``ckptscope`` command."""
    # One short-lived process that builds large immutable tables: collecting cycles costs time and
    # frees nothing.
    gc.disable()
    try:
        parsed = parse(sys.argv[1:])
        if parsed is None:
            _answer_with_typer()
        else:
            status = run(*parsed)
            sys.stdout.flush()
            sys.exit(status)
    except KeyboardInterrupt:
        print("ckptscope: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has gone: that is no error. Keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _answer_with_typer() -> None:
    """Help, completion, versions and usage errors; under --json an error is an object on
    stdout, too.
    """
    try:
        typer_app()(prog_name="ckptscope")
    except SystemExit as stop:
        if stop.code == TROUBLE and _JSON_WORDS & {
            word.rpartition("=")[2] for word in sys.argv[2:]
        }:
            from ckptscope.render.jsonable import dumps, error_to_jsonable

            print(
                dumps(
                    error_to_jsonable(
                        UsageError("the arguments cannot be understood; see ckptscope --help")
                    )
                )
            )
        raise


# ------------------------------------------------------------ rendering


def _write(output: str | None, render: Callable[[IO[str]], None]) -> None:
    if output is None:
        render(sys.stdout)
        return
    with open(output, "w", encoding="utf-8") as file:
        render(file)


def _render(found: Inspection, chosen: str, color: str, verbosity: int, file: IO[str]) -> None:
    if chosen == "json":
        from ckptscope.render.jsonable import inspection_pieces

        file.writelines(inspection_pieces(found))
        file.write("\n")
    elif chosen == "ndjson":
        from ckptscope.render.jsonable import dumps, inspection_to_jsonable

        file.write(dumps(inspection_to_jsonable(found), indent=None) + "\n")
    elif chosen == "csv":
        from ckptscope.render.tabular import variables_csv

        file.write(variables_csv(found))
    elif chosen == "markdown":
        from ckptscope.render.tabular import inspection_markdown

        file.write(inspection_markdown(found))
    else:
        from ckptscope.render.screen import console_for
        from ckptscope.render.text import print_inspection

        print_inspection(found, console_for(file, color), verbosity)


def _render_diff(found: CheckpointDiff, options: dict[str, Any], file: IO[str]) -> None:
    chosen = _format(options)
    if chosen == "json":
        from ckptscope.render.diff_json import diff_pieces

        file.writelines(diff_pieces(found))
        file.write("\n")
    elif chosen == "ndjson":
        from ckptscope.render.diff_json import change_lines

        file.writelines(change_lines(found))
    elif chosen == "csv":
        from ckptscope.render.diff_tabular import changes_csv

        file.write(changes_csv(found))
    elif chosen == "markdown":
        from ckptscope.render.diff_tabular import diff_markdown

        file.write(
            diff_markdown(found, **({} if options["top"] is None else {"top": options["top"]}))
        )
    else:
        from ckptscope.render.diff_text import WIDEST, print_diff
        from ckptscope.render.screen import console_for

        console = console_for(file, options["color"], WIDEST)
        print_diff(
            found, console, verbosity=_verbosity(options), stat=options["stat"], top=options["top"]
        )


def _render_history(history: RunHistory, chosen: str, color: str, file: IO[str]) -> None:
    if chosen == "json":
        file.write(history.to_json() + "\n")
    elif chosen == "ndjson":
        from ckptscope.render.jsonable import dumps, history_row_to_jsonable

        file.writelines(
            dumps(history_row_to_jsonable(row), indent=None) + "\n" for row in history.rows
        )
    elif chosen == "csv":
        from ckptscope.render.tabular import history_csv

        file.write(history_csv(history))
    elif chosen == "markdown":
        from ckptscope.render.tabular import history_markdown

        file.write(history_markdown(history))
    else:
        from ckptscope.render.history_text import print_history
        from ckptscope.render.screen import console_for

        print_history(history, console_for(file, color))


def _tensor(options: dict[str, Any], chosen: str, file: IO[str]) -> None:
    from ckptscope.checkpoint.discover import find
    from ckptscope.render.jsonable import dumps
    from ckptscope.render.values import take, values_text, values_to_jsonable

    location = find(options["path"], options["step"])
    _tell(location.remarks)
    with location.open() as checkpoint:
        key = checkpoint.entry(options["tensor"]).key
        values = take(checkpoint[key], options["slice"])
        if chosen in ("json", "ndjson"):
            shown = values_to_jsonable(key, checkpoint.entry(key).dtype.name, values)
            file.write(dumps(shown, indent=None if chosen == "ndjson" else 2) + "\n")
        else:
            file.write(values_text(values) + "\n")


# ------------------------------------------------------------ Typer


def typer_app() -> typer.Typer:
    """The Typer app of all commands, for help, completion and usage errors."""
    import typer

    app = typer.Typer(
        name="ckptscope",
        help="What is in a TensorFlow checkpoint, where its data stands, and whether the run "
        "resumes exactly.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"ckptscope {VERSION}")
            raise typer.Exit

    @app.callback()
    def root(
        _: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        pass

    for command in COMMANDS:
        app.command(command.name, help=command.help)(_typer_function(command))
    return app


_TYPES: dict[str, Any] = {
    "flag": bool,
    "integer": int | None,
    "number": float | None,
    "texts": list[str] | None,
    "switch": bool | None,
    "pair": tuple[str, str] | None,
}


def _typer_function(command: Command) -> Callable[..., None]:
    """A function with the signature that Typer reads, made from the table."""
    import inspect as signatures

    import typer

    def call(**options: Any) -> None:
        raise typer.Exit(
            run(command.name, {name: _plain(value) for name, value in options.items()})
        )

    def annotated(argument: Argument) -> signatures.Parameter:
        kind: Any = _TYPES.get(argument.kind, str | None)
        if argument.choices:
            kind = _choice(argument)
        if not argument.flags:
            kind = str | None if argument.optional else str
            start: Any = None if argument.optional else ...
            default = typer.Argument(start, help=argument.help, metavar=argument.metavar)
        else:
            start = False if argument.kind == "flag" else argument.default
            flags = argument.flags
            if argument.kind == "switch":
                flags = tuple(f"{flag}/--no-{flag.removeprefix('--')}" for flag in flags)
            default = typer.Option(
                start, *flags, help=argument.help, metavar=argument.metavar, min=argument.minimum
            )
        return signatures.Parameter(
            argument.name, signatures.Parameter.KEYWORD_ONLY, default=default, annotation=kind
        )

    parameters = [annotated(argument) for argument in command.arguments]
    call.__signature__ = signatures.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _choice(argument: Argument) -> Any:
    from enum import Enum

    return Enum(
        argument.name.capitalize(), {choice: choice for choice in argument.choices}, type=str
    )


def _plain(value: Any) -> Any:
    """Enum members of Typer as their values."""
    return getattr(value, "value", value)


if __name__ == "__main__":
    main()
