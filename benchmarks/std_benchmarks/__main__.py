"""Measure how fast the platform is on this machine, each figure beside a reference measured in the same run.

Takes about 10 minutes for all; the machine should have nothing else to do meanwhile. Exit code 1 where a benchmark
failed; a target that was missed is no failure.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from std_benchmarks.picture import to_svg
from std_benchmarks.result import Result
from std_benchmarks.runner import run_suite
from std_benchmarks.suite import BENCHMARKS, select
from std_benchmarks.tables import print_comparison, print_result, to_markdown
from std_daq.cli.argument_types import positive_integer
from std_daq.cli.path_checks import check_output_file
from std_daq.errors import StdDaqError, exit_code_of
from std_daq.telemetry.logs import configure_logs
from std_daq.telemetry.terminal_console import TerminalConsole


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns the exit code."""
    arguments = _parser().parse_args(argv)
    configure_logs("info")
    try:
        return _run(arguments)
    except StdDaqError as error:
        print(f"bench: {error}", file=sys.stderr)
        return exit_code_of(error)
    except KeyboardInterrupt as error:
        return exit_code_of(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="BENCHMARK", help="those to run, by default all")
    parser.add_argument("--list", action="store_true", help="only say which benchmarks there are")
    parser.add_argument("--repeats", type=positive_integer, default=5, metavar="N", help="turns of each, by default 5")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()),
        metavar="DIR",
        help="on the disk to be measured, by default that of temporary files",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the result as JSON, by default bench-<date>-<time>.json"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the table once more, in Markdown")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="each figure against its target, as SVG")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="JSON of an earlier run to compare with")
    parser.add_argument("--json", action="store_true", help="the JSON on standard output in place of the tables")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        for name, title in BENCHMARKS.items():
            print(f"{name:<16}{title}")
        return 0
    names = select(arguments.names)
    check_output_file(arguments.folder / "bench", "--folder")
    output = arguments.output or Path(time.strftime("bench-%Y%m%d-%H%M%S.json"))
    check_output_file(output, "--output", in_place=True)
    for option in ("markdown", "picture"):
        if getattr(arguments, option) is not None:
            check_output_file(getattr(arguments, option), f"--{option}", in_place=True)
    earlier = None if arguments.compare is None else Result.read(arguments.compare)
    result = run_suite(names, repeats=arguments.repeats, folder=arguments.folder, progress=_show)
    _write(result, earlier, output, arguments)
    return 1 if result.failures else 0


def _write(result: Result, earlier: Result | None, output: Path, arguments: argparse.Namespace) -> None:
    document = json.dumps(result.to_json(), indent=1) + "\n"
    output.write_text(document)
    if arguments.markdown is not None:
        arguments.markdown.write_text(to_markdown(result))
    if arguments.picture is not None:
        arguments.picture.write_text(to_svg(result))
    if arguments.json:
        print(document, end="")
        return
    console = TerminalConsole()
    print_result(result, console)
    if earlier is not None:
        print_comparison(result, earlier, console)
    print(f"written to {output}; compare a later run with it: --compare {output}")


def _show(name: str, text: str) -> None:
    if text:
        print(f"{time.strftime('%H:%M:%S')} {name}: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
