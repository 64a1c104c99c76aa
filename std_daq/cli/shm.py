"""List the rings in shared memory, or remove the rings that no process uses."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.shared_options import add_json_option
from std_daq.errors import EXIT_FAILED, SharedMemoryError

if TYPE_CHECKING:
    from std_daq.shm.inventory import RingUse

DEFAULT_DIRECTORY = Path("/dev/shm")  # noqa: S108


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show the rings and the processes that use them")
    cleaning = actions.add_parser("clean", help="remove the rings that no process uses")
    cleaning.add_argument("--force", action="store_true", help="also remove rings in use; their readers are told so")
    for action in (listing, cleaning):
        where = action.add_mutually_exclusive_group()
        where.add_argument(
            "--config", type=Path, metavar="FILE", help="only the rings of this configuration, of any system"
        )
        where.add_argument(
            "--directory", type=Path, default=DEFAULT_DIRECTORY, help="where the rings are; by default %(default)s"
        )
        add_json_option(action)


def run(arguments: argparse.Namespace) -> int:
    """List or remove rings; returns the exit code."""
    from std_daq.cli.path_checks import check_input_folder
    from std_daq.shm.inventory import inspect_rings

    if arguments.config is None:
        check_input_folder(arguments.directory, "--directory")
    paths = _paths_asked_for(arguments)
    directories = {arguments.directory} if paths is None else {path.parent for path in paths}
    rings = [
        ring
        for directory in sorted(directories)
        for ring in inspect_rings(directory)
        if paths is None or ring.info.path in paths
    ]
    if arguments.action == "clean":
        return _clean(sorted(directories), rings, is_forced=arguments.force, as_json=arguments.json)
    if arguments.json:
        print(json.dumps([_as_document(ring) for ring in rings], indent=2))
    else:
        _print_table(sorted(directories), rings)
        _print_damaged(sorted(directories))
    return 0


def _paths_asked_for(arguments: argparse.Namespace) -> set[Path] | None:
    """Return the paths of the rings in the configuration, or None for all rings in the directory."""
    if arguments.config is None:
        return None
    from std_daq.config.system import load_any_config

    return set(load_any_config(arguments.config).ring_paths)


def _clean(directories: list[Path], rings: "list[RingUse]", *, is_forced: bool, as_json: bool) -> int:
    from std_daq.shm.inventory import remove_leftovers, remove_ring

    kept = [ring for ring in rings if ring.is_used and not is_forced]
    removed, failures = [], []
    for ring in rings:
        if ring in kept:
            continue
        try:
            remove_ring(ring.info.path)
        except SharedMemoryError as error:
            failures.append(str(error))
        else:
            removed.append(ring)
    unfinished = [path for directory in directories for path in remove_leftovers(directory)]
    n_bytes = sum(ring.info.total_bytes for ring in removed)
    if as_json:
        document = {
            "removed": [str(ring.info.path) for ring in removed],
            "unfinished": [str(path) for path in unfinished],
            "kept": [str(ring.info.path) for ring in kept],
            "failures": failures,
            "n_bytes": n_bytes,
        }
        print(json.dumps(document, indent=2))
        return EXIT_FAILED if failures else 0
    for ring in kept:
        print(f"kept     {ring.info.path}: used by {_users(ring)}")
    for ring in removed:
        print(f"removed  {ring.info.path}")
    for path in unfinished:
        print(f"removed  {path}, which was never finished")
    for failure in failures:
        print(f"kept     {failure}")
    _print_damaged(directories)
    print(f"{n_bytes / 1e9:.3f} GB removed")
    return EXIT_FAILED if failures else 0


def _print_damaged(directories: list[Path]) -> None:
    """Print a line for each file that looks like a ring and is none; its processes are not known, so it stays."""
    from std_daq.shm.segment import damaged_segments

    for directory in directories:
        for text in damaged_segments(directory):
            print(f"no ring  {text}; remove it if nobody uses it")


def _as_document(ring: "RingUse") -> dict[str, Any]:
    info = asdict(ring.info)
    info |= {"path": str(ring.info.path), "state": ring.state}
    return info | {"writers": ring.writers, "users": ring.users, "is_used": ring.is_used}


def _print_table(directories: list[Path], rings: "list[RingUse]") -> None:
    from rich.table import Table

    from std_daq.telemetry.terminal_console import TerminalConsole

    if not rings:
        print(f"no rings in {', '.join(map(str, directories))}")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("ring", "kind", "slots", "GB", "state", "made by", "used by"):
        table.add_column(heading, justify="right" if heading in {"slots", "GB", "made by"} else "left")
    for ring in rings:
        geometry = ring.info.geometry
        table.add_row(
            str(ring.info.path),
            f"{geometry.get('kind', 'unknown')} {_geometry_text(geometry)}",
            str(geometry.get("n_slots", "")),
            f"{ring.info.total_bytes / 1e9:.3f}",
            ring.state,
            str(ring.info.creator_pid),
            _users(ring) or "nobody",
        )
    TerminalConsole().print(table)


def _geometry_text(geometry: dict[str, Any]) -> str:
    from std_daq.imaging.protocols.image_metadata import dtype_of_code

    try:
        if geometry["kind"] == "frames":
            return f"{geometry['n_parts']} x {geometry['data_bytes'] / 1e6:.2f} MB"
        height, width = geometry["attributes"]["shape"]
        return f"{width} x {height} {dtype_of_code(geometry['attributes']['dtype'])}"
    except (LookupError, TypeError, ValueError):
        return ""


def _users(ring: "RingUse") -> str:
    writers = [f"{pid} (writes)" if pid else "a process of another user or container (writes)" for pid in ring.writers]
    return ", ".join(writers + [str(pid) for pid in ring.users if pid not in ring.writers])
