"""What holds for the command blocks of all pages, also for those that are not run."""

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.cli.__main__ import COMMANDS
from std_daq.cli.command_parser import CommandParser
from std_daq.cli.sim import COMMANDS as SIM_COMMANDS
from std_daq.service.arguments import service_parser
from std_daq.service.registry import service_descriptions
from std_test_kit.page_commands import ROOT, blocks_of, pages

# A clone is where the other pages begin.
_INTO_CLONE = re.compile(r"git clone [^\n]*?(&& cd|\n *cd) std-daq")
_STEP = re.compile(r"^ *(?:.*&& )?(cd|pushd|popd)\b([^\n#;]*)", re.MULTILINE)


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_no_page_leaves_its_reader_in_another_folder(page: Path) -> None:
    depth = 0
    for block in blocks_of(page):
        text = re.sub(r"\([^()]*\)|'[^']*'", "", _INTO_CLONE.sub("", block.text))  # subshells change nothing
        for step, where in _STEP.findall(text):
            depth += -1 if step == "popd" or where.strip() in {"-", "..", "../.."} else 1
    assert depth == 0


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_commands_can_be_pasted_with_either_compose(page: Path) -> None:
    if "docker-compose" not in page.read_text():
        return
    texts = {block.text for block in blocks_of(page)}
    for text in texts:
        assert "docker compose" not in text or text.replace("docker compose", "docker-compose") in texts


# Images that are sent before the request has arrived are not in its file.
_HASTE = re.compile(
    r"std-daq write [^\n]*&\n(?!sleep )(?![^\n]*(?:std-daq write |--when-requested))[^\n]*std-daq (?:simulate|replay) "
)


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_packets_are_not_sent_before_the_request_has_arrived(page: Path) -> None:
    for block in blocks_of(page):
        is_hasty = _HASTE.search(block.text.replace("\\\n", " ")) is not None
        assert not is_hasty, f"line {block.line}: --when-requested, or sleep between"


# A word of the shell that stands for another one, and what it could be.
_VARIABLES = {"id": "12345678-1234-4234-8234-123456789abc"}
_PROGRAMS = {"std-daq": ("std_daq.cli.", COMMANDS), "std-sim": ("std_daq.cli.sim_", SIM_COMMANDS)}
_SERVICES = {f"std-{service.name}": service for service in service_descriptions()}


def calls_of(text: str) -> Iterator[list[str]]:
    """Yield the calls of our programs in a block, each as its words."""
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"\$\{?(\w+)\}?", lambda found: _VARIABLES.get(found[1], "1"), line)
        words = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        words.whitespace_split = True
        try:
            found = list(words)
        except ValueError:  # a text of several lines
            continue
        for first, word in enumerate(found):
            program = word.rpartition("/")[2]
            before = found[first - 1] if first else ""
            if program not in {*_PROGRAMS, *_SERVICES, "std-live"} or before in {"-o", "-g"}:
                continue
            rest = found[first + 1 :]
            last = next((i for i, one in enumerate(rest) if set(one) <= set("();<>|&")), len(rest))
            if program not in _PROGRAMS or (rest and rest[0] in _PROGRAMS[program][1]):
                is_redirected = rest[last : last + 1] == [">"] and rest[last - 1 : last] == ["2"]
                yield [program, *rest[: last - is_redirected]]


def parser_of(program: str, words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    if program in _SERVICES:
        return service_parser(_SERVICES[program]), words
    if program == "std-live":
        program, words = "std-daq", ["live", *words]
    prefix, _ = _PROGRAMS[program]
    parser = CommandParser(prog=program)
    importlib.import_module(prefix + words[0].replace("-", "_")).add_arguments(parser)
    return parser, words[1:]


@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_every_call_on_a_page_is_one_that_its_program_takes(page: Path) -> None:
    for block in blocks_of(page):
        for program, *words in calls_of("" if block.file else block.text):
            parser, rest = parser_of(program, words)
            try:
                parser.parse_args(rest)
            except SystemExit as ended:
                if ended.code:
                    pytest.fail(f"line {block.line}: {program} {shlex.join(words)}")


def test_calls_are_found_wherever_they_stand_in_a_line() -> None:
    text = (
        "(sleep 3; sudo /opt/bin/std-daq status --config a.json --once) 2> /dev/null &\n./tool std-web --config b # on"
    )
    assert [*calls_of(text)] == [
        ["std-daq", "status", "--config", "a.json", "--once"],
        ["std-web", "--config", "b"],
    ]
    assert [*calls_of('std-daq kill "$id" 2> x')] == [["std-daq", "kill", _VARIABLES["id"]]]
    assert [*calls_of("sudo adduser alice std-daq\nsudo install -o std-daq -g std-daq /data")] == []
    assert sum(len([*calls_of(block.text)]) for page in pages() for block in blocks_of(page)) > 150
