"""Look into PFF files, the files of a telescope's frames, or copy them into an HDF5 file."""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.shared_options import add_json_option
from std_daq.errors import EXIT_DONE, ArgumentError, FileFormatError

if TYPE_CHECKING:
    from std_daq.telescope.pff import PffFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    info = actions.add_parser("info", help="tell product, frames, times and damage of files")
    info.add_argument("files", type=Path, nargs="+", metavar="FILE")
    add_json_option(info)
    cat = actions.add_parser("cat", help="print frames, each as a JSON object in a line")
    cat.add_argument("file", type=Path, metavar="FILE")
    cat.add_argument(
        "--frames",
        type=_frame_range,
        default=slice(None),
        metavar="FIRST:END",
        help="as --frames 0:10, or --frames=-5: for the last five; by default all",
    )
    cat.add_argument("--pixels", action="store_true", help="print the pixels too, row by row")
    copying = actions.add_parser("to-hdf5", help="copy files of one module and product into an HDF5 file")
    copying.add_argument("files", type=Path, nargs="+", metavar="FILE", help="PFF files, in order")
    copying.add_argument("output", type=Path, metavar="HDF5", help="the file to make")


def run(arguments: argparse.Namespace) -> int:
    """Run the action; returns the exit code."""
    from std_daq.cli.path_checks import check_given_once, check_input_file, check_new_file

    if arguments.action == "cat":
        check_input_file(arguments.file, "FILE")
        _print_frames(arguments.file, arguments.frames, with_pixels=arguments.pixels)
        return EXIT_DONE
    for file in arguments.files:
        check_input_file(file, "FILE")
    if arguments.action == "info":
        _print_info(arguments.files, as_json=arguments.json)
        return EXIT_DONE
    check_given_once(arguments.files, "FILE")
    check_new_file(arguments.output, "HDF5", "give another name, or remove it")
    from std_daq.telescope.pff.hdf5_copy import copy_to_hdf5

    n_frames = copy_to_hdf5(arguments.files, arguments.output)
    print(f"{arguments.output}: {n_frames} frames")
    return EXIT_DONE


def _frame_range(text: str) -> slice:
    found = re.fullmatch(r"(-?\d+)?:(-?\d+)?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a range of frames such as 0:10, 100: or -5:")
    return slice(*(None if bound is None else int(bound) for bound in found.groups()))


def _print_frames(path: Path, frames: slice, *, with_pixels: bool) -> None:
    from std_daq.telescope.pff import PffFile

    with PffFile(path) as file:
        if not len(file):
            raise FileFormatError(f"{path}: no whole frame is in the file")
        numbers = range(*frames.indices(len(file)))
        if not numbers:
            raise ArgumentError("--frames", f"none of these is in the file, whose frames are 0 to {len(file) - 1}")
        for number in numbers:
            frame = file[number]
            line: dict[str, Any] = {
                "frame_number": number,
                "received_ns": frame.received_ns,
                "white_rabbit_ns": frame.white_rabbit_ns,
                "header": frame.header,
                "min": int(frame.pixels.min()),
                "max": int(frame.pixels.max()),
                "sum": int(frame.pixels.sum(dtype="i8")),
            }
            print(json.dumps(line | ({"pixels": frame.pixels.tolist()} if with_pixels else {})))


def _print_info(paths: Sequence[Path], *, as_json: bool) -> None:
    from std_daq.telescope.pff import PffFile

    documents = []
    for path in paths:
        with PffFile(path) as file:
            documents.append(_describe(file))
    if as_json:
        print(json.dumps(documents, indent=2))
        return
    for document in documents:
        print(document.pop("file"))
        for key, value in document.items():
            print(f"  {key.replace('_', ' '):<16} {'unknown' if value is None else value}")


def _describe(file: "PffFile") -> dict[str, Any]:
    times, is_sound = file.received_ns(), file.stamps()[1]
    pixels = file.pixels
    sound = times[is_sound]
    return {
        "file": str(file.path),
        "product": file.product.name,
        "module_id": file.name.module_id,
        "n_frames": len(file),
        "n_damaged": int((~is_sound).sum()),
        "n_zero": int((~pixels.any(axis=(1, 2))).sum()),
        "header_bytes": file.header_bytes,
        "frame_bytes": file.frame_bytes,
        "tail_bytes": file.n_tail_bytes,
        "first_received": _in_words(sound[0]) if len(sound) else None,
        "last_received": _in_words(sound[-1]) if len(sound) else None,
        "min": int(pixels.min()) if pixels.size else None,
        "max": int(pixels.max()) if pixels.size else None,
        "sum": int(pixels.sum(dtype="i8")),
    }


def _in_words(time_ns: int) -> str:
    import numpy as np

    return f"{np.datetime64(int(time_ns), 'ns')}Z"
