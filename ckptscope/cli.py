"""The command line: parse arguments, call the library, choose a renderer, set the exit status. No logic.

Exit status of ``inspect``: 0 readable (and at least what --require asks), 1 --require not met, 2 usage, not found or
unreadable. Of ``verify``: 0 intact, 1 damaged, 2 as before.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from ckptscope.arguments import COMMANDS, Argument, Command, parse
from ckptscope.errors import CheckpointNotFoundError, CkptscopeError, UsageError
from ckptscope.version import VERSION

if TYPE_CHECKING:
    import typer

    from ckptscope.inspection import Inspection, RunHistory

_JSON_WORDS = frozenset(("--json", "json", "ndjson"))
NOT_MET = 1
TROUBLE = 2


def inspect(options: dict[str, Any]) -> int:
    """``ckptscope inspect``; returns the exit status."""
    from ckptscope import inspection as library

    chosen = "json" if options["json"] else options["format"]
    required = "exact" if options["strict"] else options["require"]
    names = ("batch_size", "epoch_size", "global_seed", "shuffle_seed", "data_root", "verify")
    hints = {name: options[name] for name in names}
    path, color, evidence = options["path"], options["color"], False
    if options["slice"] is not None and options["tensor"] is None:
        raise UsageError("--slice needs --tensor")
    if options["tensor"] is not None:
        _write(options["output"], lambda file: _tensor(options, chosen, file))
        return 0
    if options["all"]:
        history = library.inspect_all(path, **hints)
        _write(options["output"], lambda file: _render_history(history, chosen, color, file))
        verdict = history.rows[-1].verdict or "impossible"
        evidence = history.rows[-1].has_evidence_conditions
    else:
        with _progress() as progress:
            found = library.inspect(
                path,
                step=options["step"],
                stats=options["stats"],
                show_elements=options["show_elements"],
                only=options["only"] or (),
                ignore=options["ignore"] or (),
                require=required,
                progress=progress,
                **hints,
            )
        verbosity = -1 if options["quiet"] else int(options["verbose"])
        _write(options["output"], lambda file: _render(found, chosen, color, verbosity, file))
        verdict = found.resume.verdict
        evidence = any(condition.source == "evidence" for condition in found.resume.conditions)
    missed = required is not None and (not library.meets(verdict, required) or (options["strict"] and evidence))
    return NOT_MET if missed else 0


def verify(options: dict[str, Any]) -> int:
    """``ckptscope verify``; returns the exit status."""
    from ckptscope.inspection import open_checkpoint
    from ckptscope.render.jsonable import dumps
    from ckptscope.render.verification import damage_text, damage_to_jsonable

    with open_checkpoint(options["path"], step=options["step"]) as checkpoint, _progress() as progress:
        damage = checkpoint.reader.check(checkpoint.entries, True, progress)
    if options["json"]:
        print(dumps(damage_to_jsonable(checkpoint, damage)))
    else:
        print(damage_text(checkpoint, damage))
    return NOT_MET if any(item.fatal for item in damage) else 0


def explain(options: dict[str, Any]) -> int:
    """``ckptscope explain``; returns the exit status."""
    from ckptscope.render.explanation import explanation_text
    from ckptscope.resume.report import codes
    from ckptscope.resume.report import explain as look_up

    rule = look_up(options["code"])
    if rule is None:
        raise UsageError(f"no finding has the code {options['code']}; there are {', '.join(codes())}")
    print(explanation_text(rule))
    return 0


_RUN: dict[str, Callable[[dict[str, Any]], int]] = {"inspect": inspect, "verify": verify, "explain": explain}


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
        path = getattr(error, "filename", None) or options.get("path")
        return _report(CkptscopeError(f"cannot be read or written: {reason}", path=path), options)


def _report(error: CkptscopeError, options: dict[str, Any]) -> int:
    if options.get("json") or options.get("format") in ("json", "ndjson"):
        from ckptscope.render.jsonable import dumps, error_to_jsonable

        print(dumps(error_to_jsonable(error)))
    from ckptscope.render.words import printable

    print(f"ckptscope: {printable(str(error))}", file=sys.stderr)
    if isinstance(error, CheckpointNotFoundError) and not os.path.lexists(error.path or ""):
        print("What is read: a prefix, .index, .data-…, .meta, a directory, a state file, DIR@STEP.", file=sys.stderr)
    return TROUBLE


def main() -> None:
    """Entry point of the ``ckptscope`` command."""
    # One short-lived process that builds large immutable tables: collecting cycles costs time and frees nothing.
    gc.disable()
    try:
        parsed = parse(sys.argv[1:])
        if parsed is None:
            _answer_with_typer()
        else:
            status = run(*parsed)
            sys.stdout.flush()
            sys.exit(status)
    except BrokenPipeError:
        # The reader (head, less) has gone: that is no error. Keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _answer_with_typer() -> None:
    """Help, completion, versions and usage errors; under --json an error is an object on stdout, too."""
    try:
        typer_app()(prog_name="ckptscope")
    except SystemExit as stop:
        if stop.code == TROUBLE and _JSON_WORDS & {word.rpartition("=")[2] for word in sys.argv[2:]}:
            from ckptscope.render.jsonable import dumps, error_to_jsonable

            print(dumps(error_to_jsonable(UsageError("the arguments cannot be understood; see ckptscope --help"))))
        raise


# ---------------------------------------------------------------------------------------------------- rendering


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
        from ckptscope.render.text import console_for, print_inspection

        print_inspection(found, console_for(file, color), verbosity)


def _render_history(history: RunHistory, chosen: str, color: str, file: IO[str]) -> None:
    if chosen == "json":
        file.write(history.to_json() + "\n")
    elif chosen == "ndjson":
        from ckptscope.render.jsonable import dumps, history_row_to_jsonable

        file.writelines(dumps(history_row_to_jsonable(row), indent=None) + "\n" for row in history.rows)
    elif chosen == "csv":
        from ckptscope.render.tabular import history_csv

        file.write(history_csv(history))
    elif chosen == "markdown":
        from ckptscope.render.tabular import history_markdown

        file.write(history_markdown(history))
    else:
        from ckptscope.render.text import console_for, print_history

        print_history(history, console_for(file, color))


def _tensor(options: dict[str, Any], chosen: str, file: IO[str]) -> None:
    from ckptscope.inspection import open_checkpoint
    from ckptscope.render.jsonable import dumps
    from ckptscope.render.values import take, values_text, values_to_jsonable

    key = options["tensor"]
    with open_checkpoint(options["path"], step=options["step"]) as checkpoint:
        values = take(checkpoint[key], options["slice"])
        if chosen in ("json", "ndjson"):
            shown = values_to_jsonable(key, checkpoint.entry(key).dtype.name, values)
            file.write(dumps(shown, indent=None if chosen == "ndjson" else 2) + "\n")
        else:
            file.write(values_text(values) + "\n")


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    """Bytes read, on stderr, only on a terminal and only for what takes longer than a second."""
    if not sys.stderr.isatty():
        yield None
        return
    import time

    start = time.monotonic()
    done, shown_at = 0, start + 0.8

    def advance(nbytes: int) -> None:
        nonlocal done, shown_at
        done += nbytes
        now = time.monotonic()
        if now >= shown_at + 0.2:
            shown_at = now
            sys.stderr.write(f"\rchecked {done / 1e6:,.0f} MB, {done / 1e6 / (now - start):,.0f} MB/s ")
            sys.stderr.flush()

    try:
        yield advance
    finally:
        if shown_at > start + 0.8:
            sys.stderr.write("\r\x1b[K")


# ---------------------------------------------------------------------------------------------------- Typer


def typer_app() -> typer.Typer:
    """The Typer app of all commands, for help, completion and usage errors."""
    import typer

    app = typer.Typer(
        name="ckptscope",
        help="What is in a TensorFlow checkpoint, where its data stands, and whether the run resumes exactly.",
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
        _: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Print the version."),
    ) -> None:
        pass

    for command in COMMANDS:
        app.command(command.name, help=command.help)(_typer_function(command))
    return app


def _typer_function(command: Command) -> Callable[..., None]:
    """A function with the signature that Typer reads, made from the table."""
    import inspect as signatures

    import typer

    def call(**options: Any) -> None:
        raise typer.Exit(run(command.name, {name: _plain(value) for name, value in options.items()}))

    def annotated(argument: Argument) -> signatures.Parameter:
        kind: Any = {"flag": bool, "integer": int | None, "texts": list[str] | None}.get(argument.kind, str | None)
        if argument.choices:
            kind = _choice(argument)
        if not argument.flags:
            kind, default = str, typer.Argument(..., help=argument.help)
        else:
            start: Any = False if argument.kind == "flag" else argument.default
            default = typer.Option(
                start, *argument.flags, help=argument.help, metavar=argument.metavar, min=argument.minimum
            )
        return signatures.Parameter(argument.name, signatures.Parameter.KEYWORD_ONLY, default=default, annotation=kind)

    parameters = [annotated(argument) for argument in command.arguments]
    call.__signature__ = signatures.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _choice(argument: Argument) -> Any:
    from enum import Enum

    return Enum(argument.name.capitalize(), {choice: choice for choice in argument.choices}, type=str)


def _plain(value: Any) -> Any:
    """Enum members of Typer as their values."""
    return getattr(value, "value", value)


if __name__ == "__main__":
    main()
