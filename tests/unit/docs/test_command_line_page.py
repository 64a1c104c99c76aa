"""The page of commands names every command and every option."""

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.cli import sim
from std_daq.cli.__main__ import COMMANDS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"


MODULES = {f"std-daq {name}": name for name in COMMANDS} | {f"std-sim {name}": f"sim-{name}" for name in sim.COMMANDS}


def section(command: str) -> str:
    return PAGE.read_text().split(f"\n## {command}\n")[1].split("\n## ")[0]


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, choice in action.choices.items():
                yield name
                yield from options(choice)
        yield from (option for option in action.option_strings if option.startswith("--") and option != "--help")


@pytest.mark.parametrize("command", MODULES)
def test_every_option_is_described_and_no_other(command: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"std_daq.cli.{MODULES[command].replace('-', '_')}").add_arguments(parser)
    named = set(options(parser))
    text = section(command)
    assert {option for option in named if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)} == set()
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= named


def test_overview_names_every_command() -> None:
    overview = PAGE.read_text().split("\n## ")[0]
    assert set(re.findall(r"\(#std-daq-([\w-]+)\)", overview)) == set(COMMANDS)
