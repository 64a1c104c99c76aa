"""Checks that run before the work begins: whether an input can be read, and whether a result can be written.

A check that fails raises ArgumentError with the name of the argument.
"""

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from std_daq.errors import ArgumentError


def check_input_file(path: Path, argument: str, *, may_be_pipe: bool = False) -> None:
    """Check that a file exists and that this user may read it.

    A pipe has nothing to seek in, and whoever opens it waits for another program; so it is refused unless the file is
    one that is read once from its beginning, such as a configuration.
    """
    if not path.exists():
        _refuse(path, argument, "there is no such file")
    kind = _other_kind(path)
    if kind and not (may_be_pipe and path.is_fifo()):
        _refuse(path, argument, f"this is {kind}")
    if not os.access(path, os.R_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not read it")


def check_given_once(paths: Sequence[Path], argument: str) -> None:
    """Check that no two paths lead to one file, whose content would count twice."""
    known: dict[tuple[int, int], Path] = {}
    for path in paths:
        status = path.stat()
        first = known.setdefault((status.st_dev, status.st_ino), path)
        if first is not path:
            raise ArgumentError(argument, f"this file is given already, as {first}", value=path, remedy="give it once")


def check_tls_files(arguments: argparse.Namespace) -> None:
    """Check ``--tls-ca``, ``--tls-cert``, ``--tls-key`` and, where there is one, ``--tls-name``.

    Without ``--tls-ca`` nothing is encrypted: whoever gives a certificate, and hopes for it, is told.
    """
    for name in ("tls_cert", "tls_key", "tls_name"):
        if arguments.tls_ca is None and getattr(arguments, name, None) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ArgumentError(option, "has no meaning without TLS", remedy="give --tls-ca as well")
    for name, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if getattr(arguments, name) is not None and getattr(arguments, other) is None:
            options = [f"--{one.replace('_', '-')}" for one in (name, other)]
            raise ArgumentError(options[0], f"needs {options[1]}", remedy="certificate and key belong together")
    for name in ("tls_ca", "tls_cert", "tls_key"):
        if getattr(arguments, name) is not None:
            check_input_file(getattr(arguments, name), f"--{name.replace('_', '-')}")


def check_image_file(path: Path, argument: str) -> None:
    """Check that an image file can be read; a missing master file is accepted if its data files exist."""
    from std_daq.imaging.files.layout import find_data_files

    if not path.exists() and path.parent.is_dir() and find_data_files(path):
        return
    check_input_file(path, argument)


def check_output_file(
    path: Path,
    argument: str,
    inputs: Iterable[Path | None] = (),
    *,
    endings: Sequence[str] = (),
    in_place: bool = False,
) -> None:
    """Check that a file can be created or replaced, and that it is none of the ``inputs`` of the command.

    The name ends in one of the ``endings``, if there are any. A command makes a file beside its place, and then
    renames it (`NewFile`): the folder has to take it, and what is no file, as /dev/null, would be gone. A command that
    opens the file itself says ``in_place``.
    """
    if not path.parent.is_dir():
        _refuse(path, argument, f"there is no folder {path.parent}")
    kind = _other_kind(path)
    if kind and not (in_place and path.is_char_device()):
        _refuse(path, argument, f"this is {kind}")
    is_opened = in_place and path.exists()
    if not (os.access(path, os.W_OK) if is_opened else os.access(path.parent, os.W_OK | os.X_OK)):
        _refuse(path, argument, f"user {os.geteuid()} may not write there")
    for one in inputs:
        if one is not None and path.exists() and one.exists() and path.samefile(one):
            _refuse(path, argument, f"this is the input {one}, which the result would replace")
    if endings and path.suffix not in endings:
        *others, last = endings
        wanted = f"{', '.join(others)} or {last}" if others else last
        raise ArgumentError(
            argument, "the ending of a name says what the file is", value=path, remedy=f"end it in {wanted}"
        )


def check_new_file(path: Path, argument: str, remedy: str) -> None:
    """Check that a file can be created and does not exist yet; ``remedy`` is for a file that exists."""
    check_output_file(path, argument)
    if path.exists():
        raise ArgumentError(argument, "the file exists", value=path, remedy=remedy)


def check_link(path: Path, argument: str) -> None:
    """Check that a symbolic link can be made, or can take the place of one that is there."""
    if not path.parent.is_dir():
        _refuse(path, argument, f"there is no folder {path.parent}")
    if path.exists() and not path.is_symlink():
        _refuse(path, argument, f"{_other_kind(path) or 'a file'} is there, and no link")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not write there")


def check_input_folder(path: Path, argument: str) -> None:
    """Check that a folder exists and that this user may read it."""
    if not path.exists():
        _refuse(path, argument, "there is no such folder")
    if not path.is_dir():
        _refuse(path, argument, "this is not a folder")
    if not os.access(path, os.R_OK | os.X_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not read it")


def check_output_folder(path: Path, argument: str) -> None:
    """Check that files can be created in a folder, or that the folder and its missing parents can be created."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        _refuse(path, argument, f"{there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not write in {there}")


def _other_kind(path: Path) -> str:
    """Return in words what a path is that is no file; empty for a file, and if there is nothing."""
    kinds = {
        "a folder": path.is_dir,
        "a pipe": path.is_fifo,
        "a device": lambda: path.is_char_device() or path.is_block_device(),
        "a socket": path.is_socket,
    }
    return next((kind for kind, is_kind in kinds.items() if is_kind()), "")


def _refuse(path: Path, argument: str, problem: str) -> NoReturn:
    raise ArgumentError(argument, problem, value=path, remedy="give another path")
