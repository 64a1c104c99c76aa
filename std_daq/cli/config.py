"""Check, describe or import a configuration."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.shared_options import add_json_option
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ArgumentError, ConfigError, StdDaqError, exit_code_of

if TYPE_CHECKING:
    from std_daq.service.checks import CheckResult

_NOT_PRINTED = frozenset({"is_valid", "runs_here", "on_this_machine"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="check a configuration and the files that it names")
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument(
        "--for-another-machine",
        action="store_true",
        help="leave out what depends on this machine: its folders, addresses, CPUs and memory",
    )
    add_json_option(check)
    for action, what in (("schema", "print the JSON schema"), ("reference", "print all keys, as Markdown")):
        describing = actions.add_parser(action, help=f"{what} of a system's configuration")
        describing.add_argument(
            "--system", default="images", metavar="NAME", help="by default images, whose configuration is detector.json"
        )
        if action == "schema":
            describing.add_argument(
                "--request", action="store_true", help="of a write request to that system, instead of its configuration"
            )
    importing = actions.add_parser(
        "import",
        help="draft a detector.json from a slsDetector .config file, or a live.json from a daq_data_server_config.json",
    )
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("--detector-name", metavar="NAME", help="by default the name of the file")
    importing.add_argument(
        "--detector-type", choices=("jungfrau", "eiger"), help="by default derived from the commands in FILE"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the action; returns the exit code."""
    if arguments.action == "check":
        return _check(arguments.file, is_for_another=arguments.for_another_machine, as_json=arguments.json)
    if arguments.action == "import":
        return _import(arguments)
    from std_daq.config.reference import reference_page
    from std_daq.config.system import systems

    known = systems()
    if arguments.system not in known:
        remedy = f"installed: {', '.join(known)}"
        raise ArgumentError("--system", "no such system is installed", value=arguments.system, remedy=remedy)
    system = known[arguments.system]
    if arguments.action == "schema" and arguments.request:
        from std_daq.recording.request_schema import request_schema

        print(json.dumps(request_schema(system.experiment), indent=2))
        return 0
    schema = system.schema()
    print(json.dumps(schema, indent=2) if arguments.action == "schema" else reference_page(schema, system.file))
    return 0


def _check(file: Path, *, is_for_another: bool, as_json: bool) -> int:
    from std_daq.telemetry.logs import configure_logs

    configure_logs("warning")  # the result says what a check finds; a key that is ignored is worth a line
    exit_code = EXIT_DONE
    here: list[CheckResult] = []
    try:
        summary, results = _summarise(file)
        if not is_for_another:
            here = [result for result in results if result.error is not None]
            summary |= {"runs_here": not here, "on_this_machine": [_as_entry(result) for result in here]}
            exit_code = EXIT_FAILED if here else EXIT_DONE
    except StdDaqError as error:
        if not as_json:
            raise error.in_file(file) if isinstance(error, ConfigError) and not error.file else error from None
        exit_code = exit_code_of(error)
        summary = {"is_valid": False, "file": str(file)} | _parts_of(error)
    if as_json:
        print(json.dumps(summary, indent=2, default=str))
        return exit_code
    for key, value in summary.items():
        if key not in _NOT_PRINTED:
            print(f"{key.replace('_', ' '):<18} {value}")
    if here:
        print(f"{file} is valid, but its services would not start on this machine:")
        for entry in summary["on_this_machine"]:
            print(f"  {entry['subject']}: {entry['problem']}")
    else:
        print(f"{file} is valid")
    return exit_code


def _parts_of(error: StdDaqError) -> dict[str, Any]:
    if not isinstance(error, ConfigError):
        return {"problem": str(error)}
    file = {"file": error.file} if error.file else {}
    return file | {"key": error.key, "value": error.value, "problem": error.problem, "remedy": error.remedy}


def _as_entry(result: "CheckResult") -> dict[str, str]:
    return {"subject": result.check.subject, "problem": str(result.error)}


def _summarise(file: Path) -> "tuple[dict[str, Any], list[CheckResult]]":
    """Run the checks that do not depend on this machine; return a summary and the results of the others.

    Raises
    ------
    StdDaqError
        The configuration, or a file that it names, is wrong.
    """
    from std_daq.config.load import check_config, read_document
    from std_daq.config.system import system_of
    from std_daq.service.registry import check_wanted, wanted_instances

    document = read_document(file)
    system = system_of(document, file)
    config = check_config(document, system.model, file)
    wanted = wanted_instances(config)
    results = list(check_wanted(config, wanted))
    for result in results:
        if result.error is not None and not result.check.is_of_machine:
            raise result.error
    services = ", ".join(one.instance.name for one in wanted)
    return {"is_valid": True, "system": system.name} | system.summarise(config) | {"services": services}, results


def _import(arguments: argparse.Namespace) -> int:
    from std_daq.cli.path_checks import check_input_file
    from std_daq.config.wrong_input import fault_in_words
    from std_daq.imaging.config.sls_import import import_sls_config

    file: Path = arguments.file
    check_input_file(file, "FILE", may_be_pipe=True)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(fault_in_words(error), file=file) from None
    from std_daq.telescope.config_import import import_server_config, is_server_config

    try:
        if is_server_config(text, file.suffix):
            imported_live_view = import_server_config(text, file.suffix)
            return _print_import(file, imported_live_view.document, imported_live_view.remarks)
        imported = import_sls_config(
            text, detector_name=arguments.detector_name or file.stem, detector_type=arguments.detector_type
        )
    except ConfigError as error:
        raise error.in_file(file) from None
    return _print_import(file, imported.document, imported.remarks)


def _print_import(file: Path, document: dict[str, Any], remarks: Iterable[str]) -> int:
    print(json.dumps(document, indent=2))
    for remark in remarks:
        print(f"{file}: {remark}", file=sys.stderr)
    return EXIT_DONE
