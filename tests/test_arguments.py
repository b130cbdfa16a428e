"""The quick parser and Typer answer alike; both come from one table."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ckptscope import cli
from ckptscope.arguments import COMMANDS, parse

CALLS = [
    "inspect a",
    "inspect a --step -2",
    "inspect a --step=-2",
    "inspect --step latest a",
    "inspect a --only x --only y --ignore z",
    "inspect a -q -v --json --format csv -o f",
    "inspect a --batch-size 4 --epoch-size=40 --global-seed -1 --shuffle-seed 7",
    "inspect a --tensor k --slice 0,:",
    "inspect a --tensor k --slice=-1",
    "inspect a --require exact --strict --verify --stats --show-elements --all --color "
    "never --data-root d",
    "verify a --json --step 3",
    "explain DATA002",
    "inspect -- -a",
]
REFUSED = [
    "inspect",
    "inspect a b",
    "inspect a --batch-size 0",
    "inspect a --batch-size x",
    "inspect a --format xml",
    "inspect a --nothing",
    "inspect a --step",
    "explain",
    "inspect a --require perfect",
]


def typer_of(monkeypatch, words):
    """(exit status, command, values) as Typer parses them."""
    seen = []
    monkeypatch.setattr(cli, "run", lambda command, options: seen.append((command, options)) or 0)
    result = CliRunner().invoke(cli.typer_app(), words)
    return (result.exit_code, *(seen[0] if seen else (None, None)))


def plain(values):
    return {name: value if value not in ([], ()) else None for name, value in values.items()}


@pytest.mark.parametrize("text", CALLS)
def test_both_parsers_agree(monkeypatch, text):
    words = text.split()
    quick = parse(words)
    assert quick is not None
    status, command, values = typer_of(monkeypatch, words)
    assert (status, command) == (0, quick[0])
    assert plain(values) == plain(quick[1])


@pytest.mark.parametrize("text", REFUSED)
def test_both_parsers_refuse(monkeypatch, text):
    assert parse(text.split()) is None
    status, command, _ = typer_of(monkeypatch, text.split())
    assert (status, command) == (2, None)


@pytest.mark.parametrize(
    "text", ["", "--help", "--version", "inspect --help", "nonsense", "inspect a --hel"]
)
def test_left_to_typer(text):
    assert parse(text.split()) is None


def test_every_command_and_option_has_help():
    for command in COMMANDS:
        assert "Exit status" in command.help
        assert all(argument.help.endswith((".", ")", ":")) for argument in command.arguments)
        names = [argument.name for argument in command.arguments]
        assert len(set(names)) == len(names)
