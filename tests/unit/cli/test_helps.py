"""The help of each option of each command and service names its default, and a wrong value is told in words."""

import argparse
import importlib
from collections.abc import Iterator

import pytest

from std_daq.cli import sim
from std_daq.cli.__main__ import COMMANDS
from std_daq.cli.command_parser import CommandParser
from std_daq.service.arguments import service_parser
from std_daq.service.registry import service_descriptions


def parsers() -> Iterator[argparse.ArgumentParser]:
    for program, commands, prefix in (("std-daq", COMMANDS, ""), ("std-sim", sim.COMMANDS, "sim_")):
        for name in commands:
            parser = CommandParser(prog=f"{program} {name}")
            importlib.import_module(f"std_daq.cli.{prefix}{name.replace('-', '_')}").add_arguments(parser)
            yield parser
    for description in service_descriptions():
        yield service_parser(description)


def with_subcommands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from with_subcommands(one)


PARSERS = [one for parser in parsers() for one in with_subcommands(parser)]


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings and action.nargs != 0]


def help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    formatter = parser._get_formatter()
    return formatter._expand_help(action)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_help_names_the_default(parser: argparse.ArgumentParser) -> None:
    for action in options(parser):
        assert action.help, action.option_strings
        text = help_of(parser, action)
        if not action.required:
            assert "default" in text, action.option_strings
        if isinstance(action.default, int | float) and "default" in text:
            numbers = (f"{action.default:g}", f"{action.default}", f"{action.default:,}")
            assert any(number in text for number in numbers), (action.option_strings, text)
        elif isinstance(action.default, str):
            assert action.default in text, (action.option_strings, text)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_wrong_value_is_told_in_words(parser: argparse.ArgumentParser) -> None:
    for action in options(parser):
        if action.type is None or action.choices is not None:
            continue
        for text in ("nonsense, really", "", "9" * 400, "-1", "NaN"):
            try:
                action.type(text)  # type: ignore[operator]  # the name of a registered type is used nowhere
            except argparse.ArgumentTypeError:
                continue
            except ValueError as error:
                pytest.fail(f"{action.option_strings} {text[:20]!r}: {error!r}")
