"""One benchmark in a process of its own: ``python -m std_benchmarks.one NAME``; tells of itself in lines of JSON."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from std_benchmarks.result import figure_to_json
from std_benchmarks.setting import REPEATS, temporary_setting
from std_benchmarks.suite import BENCHMARKS, load
from std_daq.errors import StdDaqError
from std_daq.service.end_with_supervisor import SUPERVISOR_VARIABLE, end_with_supervisor
from std_daq.telemetry.logs import configure_logs


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run one benchmark.")
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    end_with_supervisor()
    os.environ[SUPERVISOR_VARIABLE] = str(os.getpid())  # of the services that it starts
    configure_logs("error")
    try:
        with temporary_setting(
            arguments.folder, repeats=arguments.repeats, progress=lambda text: _tell({"progress": text})
        ) as setting:
            for figure in load(arguments.name).measure(setting):
                _tell({"figure": figure_to_json(figure)})
    except StdDaqError as error:
        _tell({"failure": str(error)})
        return error.exit_code
    return 0


def _tell(message: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
