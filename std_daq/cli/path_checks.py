"""Checks of paths before the work begins: can the input be read, can the result be written.

Each raises ArgumentError, whose text names the argument.
"""

import os
from pathlib import Path

from std_daq.errors import ArgumentError


def check_input_file(path: Path, argument: str) -> None:
    """Check that there is a file which may be read."""
    if not path.exists():
        _refuse(path, argument, "there is no such file")
    if path.is_dir():
        _refuse(path, argument, "this is a folder")
    if not os.access(path, os.R_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not read it")


def check_image_file(path: Path, argument: str) -> None:
    """Check that there is an image file which may be read; a master may be missing where its data files are there."""
    from std_daq.imaging.files.layout import find_data_files

    if not path.exists() and path.parent.is_dir() and find_data_files(path):
        return
    check_input_file(path, argument)


def check_output_file(path: Path, argument: str) -> None:
    """Check that a file can be made, or replaced."""
    if not path.parent.is_dir():
        _refuse(path, argument, f"there is no folder {path.parent}")
    if path.is_dir():
        _refuse(path, argument, "this is a folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not write there")


def check_new_file(path: Path, argument: str, remedy: str) -> None:
    """Check that a file can be made, and that none is there which would be lost; the remedy is for the latter."""
    check_output_file(path, argument)
    if path.exists():
        raise ArgumentError(argument, "the file exists", value=path, remedy=remedy)


def check_input_folder(path: Path, argument: str) -> None:
    """Check that there is a folder which may be read."""
    if not path.exists():
        _refuse(path, argument, "there is no such folder")
    if not path.is_dir():
        _refuse(path, argument, "this is no folder")
    if not os.access(path, os.R_OK | os.X_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not read it")


def check_output_folder(path: Path, argument: str) -> None:
    """Check that there is a folder in which files can be made, or that it can be made with the folders above it."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        _refuse(path, argument, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        _refuse(path, argument, f"user {os.geteuid()} may not write in {there}")


def _refuse(path: Path, argument: str, problem: str) -> None:
    raise ArgumentError(argument, problem, value=path, remedy="give another path")
