"""Check this machine: network, kernel limits, CPUs, shared memory, disks, broker; print findings with remedies.

With --config, the command checks whether the machine can run that configuration. The exit code is 1 if a finding is a
problem.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.shared_options import add_json_option

if TYPE_CHECKING:
    from std_daq.diagnosis import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the configuration that the machine will run, of any system"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run all checks and print the findings; returns the exit code."""
    from std_daq.config.system import load_any_config
    from std_daq.diagnosis import Level, diagnose
    from std_daq.telemetry.logs import configure_logs

    # The findings report what the checks see; log lines would report it twice.
    configure_logs("error")
    config = None if arguments.config is None else load_any_config(arguments.config)
    findings = list(diagnose(config))
    has_problem = any(finding.level is Level.PROBLEM for finding in findings)
    if arguments.json:
        document = {"has_problem": has_problem, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(document, indent=2))
    else:
        _print_findings(findings)
    return 1 if has_problem else 0


def _print_findings(findings: "list[Finding]") -> None:
    from rich.text import Text

    from std_daq.telemetry.terminal_console import TerminalConsole

    console = TerminalConsole(soft_wrap=True)
    for finding in findings:
        level = Text(f"{finding.level.value:<8}", _COLOURS[finding.level.value])
        console.print(level.append(f" {finding.subject:<16} {finding.text}", "default"))
        if finding.remedy:
            console.print(Text(f"{'':<26}{finding.remedy}", "bold"))
