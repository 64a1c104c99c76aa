"""List the rings in shared memory, or remove those that nobody uses."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from std_daq.shm.inventory import RingUse

DEFAULT_DIRECTORY = Path("/dev/shm")  # noqa: S108


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show the rings and who uses them")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    cleaning = actions.add_parser("clean", help="remove the rings that nobody uses")
    cleaning.add_argument("--force", action="store_true", help="remove also rings in use: their readers are told")
    for action in (listing, cleaning):
        where = action.add_mutually_exclusive_group()
        where.add_argument("--config", type=Path, metavar="FILE", help="only the rings of this detector.json")
        where.add_argument("--directory", type=Path, default=DEFAULT_DIRECTORY, help="by default %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """List or clean; returns the exit code."""
    directory, names = _scope(arguments)
    from std_daq.shm.inventory import inspect_rings

    rings = [ring for ring in inspect_rings(directory) if names is None or ring.info.path.name in names]
    if arguments.action == "clean":
        return _clean(directory, rings, is_forced=arguments.force)
    if arguments.json:
        print(json.dumps([_as_document(ring) for ring in rings], indent=2))
    else:
        _print_table(directory, rings)
    return 0


def _scope(arguments: argparse.Namespace) -> tuple[Path, set[str] | None]:
    """Return the directory to look in, and the names to look for (None: all)."""
    if arguments.config is None:
        return arguments.directory, None
    from std_daq.imaging.config.load import load_config
    from std_daq.imaging.config.paths import frame_buffer_path, image_buffer_path

    config = load_config(arguments.config)
    return config.shared_memory.directory, {frame_buffer_path(config).name, image_buffer_path(config).name}


def _clean(directory: Path, rings: "list[RingUse]", *, is_forced: bool) -> int:
    from std_daq.shm.inventory import remove_ring, remove_unfinished

    n_bytes = 0
    for ring in rings:
        if ring.is_used and not is_forced:
            print(f"kept     {ring.info.path}: used by {_users(ring)}")
            continue
        remove_ring(ring.info.path)
        n_bytes += ring.info.total_bytes
        print(f"removed  {ring.info.path}")
    for path in remove_unfinished(directory):
        print(f"removed  {path}, which was never finished")
    print(f"{n_bytes / 1e9:.3f} GB removed")
    return 0


def _as_document(ring: "RingUse") -> dict[str, Any]:
    info = asdict(ring.info)
    info |= {"path": str(ring.info.path), "state": ring.info.state.name.lower()}
    return info | {"writers": ring.writers, "users": ring.users, "is_used": ring.is_used}


def _print_table(directory: Path, rings: "list[RingUse]") -> None:
    from rich.table import Table

    from std_daq.cli.console import table_console

    if not rings:
        print(f"no rings in {directory}")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("ring", "kind", "slots", "GB", "state", "made by", "used by"):
        table.add_column(heading, justify="right" if heading in {"slots", "GB", "made by"} else "left")
    for ring in rings:
        geometry = ring.info.geometry
        table.add_row(
            str(ring.info.path),
            f"{geometry['kind']} {_geometry_text(geometry)}",
            str(geometry["n_slots"]),
            f"{ring.info.total_bytes / 1e9:.3f}",
            ring.info.state.name.lower(),
            str(ring.info.creator_pid),
            _users(ring) or "nobody",
        )
    table_console().print(table)


def _geometry_text(geometry: dict[str, Any]) -> str:
    if geometry["kind"] == "frames":
        return f"{geometry['n_parts']} x {geometry['data_bytes'] / 1e6:.2f} MB"
    from std_daq.imaging.protocols.image_metadata import dtype_of_code

    height, width = geometry["attributes"]["shape"]
    return f"{width} x {height} {dtype_of_code(geometry['attributes']['dtype'])}"


def _users(ring: "RingUse") -> str:
    writers = [f"{pid} (writes)" if pid else "a process of another user or container (writes)" for pid in ring.writers]
    return ", ".join(writers + [str(pid) for pid in ring.users if pid not in ring.writers])
