"""Admission: checks whether a request can be carried out, and chooses the path of its file."""

import copy
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

from std_daq.errors import RequestRefusedError
from std_daq.imaging.files.names import RunNames
from std_daq.recording.config import RecordingConfig
from std_daq.recording.file_users import allowed_user_id
from std_daq.recording.requests import WriteRequest
from std_writer_agent.file_claims import claimed
from std_writer_agent.numbered_path import LAST_NUMBER, NumberedPath
from std_writer_agent.plan import images_per_file
from std_writer_agent.request_rules import RequestRules

MAX_NAMES = 9999
MAX_SHOWN_CHARS = 300


class Admission:
    """Checks write requests against the configuration and the disks of this machine.

    Parameters
    ----------
    config
        Configuration; it names the allowed folders and the user who owns the files.
    rules
        What may be asked of this system.
    find_claimant
        Returns the name of another system that has claimed a file; empty if there is none.
    free_bytes
        Returns the free space of the disk that holds a folder, in bytes.
    """

    def __init__(
        self,
        config: RecordingConfig,
        rules: RequestRules,
        find_claimant: Callable[[Path], str] = lambda _: "",
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._roots = [Path(os.path.realpath(root)) for root in config.writer.output_roots]
        self._min_free_bytes = int(config.writer.min_free_gb * 1e9)
        # The access rights of another user cannot be checked from here. The h5_writer, which acts as that user,
        # reports a failure.
        self._is_own_user = config.writer_user_id in {None, os.geteuid()}
        self._users = config.writer.users
        self._rules = rules
        self._max_data_files = config.writer.max_data_files
        self._find_claimant = find_claimant
        self._free_bytes = free_bytes

    def admit(self, request: WriteRequest, taken: Collection[RunNames]) -> str:
        """Check a request, and return the path of the file that its run will write.

        Parameters
        ----------
        request
            The request.
        taken
            Names of the files of other requests that have not ended.

        Raises
        ------
        RequestRefusedError
            The request cannot be carried out; the text is the reason.
        """
        if request.user is not None:
            user_id = allowed_user_id(request.user, self._users)
            return self._for_user(user_id).admit(request.model_copy(update={"user": None}), taken)
        if request.n_files is not None and request.n_images is None:
            raise RequestRefusedError("n_files needs n_images: without it, give images_per_file instead")
        self._rules.check(request)
        n_data_files = self._check_number_of_files(request)
        try:
            return str(self._choose_path(request, n_data_files, taken))
        except OSError as error:
            place = error.filename or request.output_file
            raise RequestRefusedError(f"output_file: {error.strerror or error}: {_shown(str(place))}") from None

    def _for_user(self, user_id: int) -> "Admission":
        """Return an admission for the files of another user."""
        other = copy.copy(self)
        other._is_own_user = user_id == os.geteuid()  # noqa: SLF001 -- an object of this class
        return other

    def _choose_path(self, request: WriteRequest, n_data_files: int | None, taken: Collection[RunNames]) -> Path:
        path = _check_path(request.output_file, has_data_files=n_data_files != 0)
        folder = self._nearest_folder(path)
        if request.output_file.endswith(("/", "/.")) or path == path.parent:
            raise _is_a_folder(path)
        _check_names(RunNames(path, n_data_files != 0), folder)
        if self._is_folder(path):
            raise _is_a_folder(path)
        path = self._free_path(path, request, taken)
        _check_names(RunNames(path, n_data_files != 0), folder)
        self._check_disk(request, folder)
        _check_files(1 if n_data_files is None else n_data_files + 1, folder)
        return path

    def _is_folder(self, path: Path) -> bool:
        try:
            return path.is_dir()
        except PermissionError:
            if self._is_own_user:
                raise
            return False  # the user who owns the files may see more than this process

    def _check_number_of_files(self, request: WriteRequest) -> int | None:
        """Return how many data files the run has: 0 for a single file, None if that is not known before its end."""
        per_file = images_per_file(request)
        if per_file is None:
            return 0
        if request.n_images is None:
            return None
        n_data_files = -(-request.n_images // per_file)
        if n_data_files > self._max_data_files:
            raise RequestRefusedError(
                f"{n_data_files} data files are more than writer.max_data_files, {self._max_data_files}: a program "
                "that reads the master opens all of them, and shows no pixels of those that it cannot open, without "
                "an error; put more images into each file"
            )
        return n_data_files

    def _nearest_folder(self, path: Path) -> Path:
        """Return the nearest existing folder above a path, with links resolved; refuse it if it is not allowed."""
        folder = next(parent for parent in (*path.parents, Path("/")) if os.path.lexists(parent))
        real = Path(os.path.realpath(folder))
        if self._roots and not any(real.is_relative_to(root) for root in self._roots):
            allowed = ", ".join(map(str, self._roots))
            where = "" if real == folder else f" lies in {real}, which"
            shown = _shown(str(path))
            raise RequestRefusedError(f"output_file {shown!r}{where} is outside the allowed folders: {allowed}")
        if not real.is_dir():
            raise RequestRefusedError(f"{folder} is not a folder")
        if self._is_own_user and not os.access(real, os.W_OK | os.X_OK):
            raise RequestRefusedError(f"the writer has no permission to write to the folder {folder}")
        return real

    def _free_path(self, path: Path, request: WriteRequest, taken: Collection[RunNames]) -> Path:
        if (numbered := NumberedPath.of(path)) is not None:
            return self._next_path(numbered, request, taken)
        names = RunNames(path, images_per_file(request) is not None)
        obstacle = self._find_obstacle(names, taken)
        if not obstacle:
            return path
        if request.conflict == "refuse":
            raise RequestRefusedError(obstacle)
        for number in range(1, MAX_NAMES + 1):
            other = path.with_name(f"{path.stem}_{number:04d}{path.suffix}")
            if not self._find_obstacle(RunNames(other, names.has_data_files), taken):
                return other
        raise RequestRefusedError(f"{path} exists, and so do all {MAX_NAMES} names with a number appended")

    def _next_path(self, numbered: NumberedPath, request: WriteRequest, taken: Collection[RunNames]) -> Path:
        """Return the path with the next number that is free, also in letters of another case."""
        first = numbered.next_number(run.output_file for run in taken)
        for number in range(first, min(first + MAX_NAMES, LAST_NUMBER + 1)):
            path = numbered.path(number)
            if not self._find_obstacle(RunNames(path, images_per_file(request) is not None), taken):
                return path
        raise RequestRefusedError(f"{numbered.path(first)} and the names with the numbers after it are taken")

    def _find_obstacle(self, names: RunNames, taken: Collection[RunNames]) -> str:
        """Return why the run cannot have these names; empty if it can."""
        try:
            existing = names.find_existing()
        except PermissionError:
            if self._is_own_user:
                raise
            existing = None  # the user who owns the files may see more than this process
        if existing is not None:
            return f"{existing} exists, and is never overwritten"
        other = next((run for run in taken if names.collides_with(run)), None)
        if other is None:
            claimant = self._find_claimant(names.output_file)
            return claimed(names.output_file, claimant) if claimant else ""
        if other.output_file == names.output_file:
            return f"{names.output_file} belongs to a request that has not ended"
        return f"{names.output_file} collides with the files of {other.output_file}, whose request has not ended"

    def _check_disk(self, request: WriteRequest, folder: Path) -> None:
        # The size of compressed images is not known in advance, so no space is demanded for them.
        n_images = request.n_images if request.compression == "none" else None
        needed = (n_images or 0) * self._rules.image_bytes + self._min_free_bytes
        free = self._free_bytes(folder)
        if free < needed:
            raise RequestRefusedError(
                f"the disk of {folder} has {free / 1e9:.3f} GB free, the run needs {needed / 1e9:.3f} GB "
                f"(including {self._min_free_bytes / 1e9:.3f} GB that must stay free)"
            )


def _is_a_folder(path: Path) -> RequestRefusedError:
    return RequestRefusedError(f"output_file {_shown(str(path))!r} is a folder")


def _check_path(text: str, *, has_data_files: bool) -> Path:
    path = PurePosixPath(text)
    if not path.is_absolute():
        raise RequestRefusedError(f"output_file {_shown(text)!r} must be an absolute path")
    if ".." in path.parts:
        raise RequestRefusedError(f"output_file {_shown(text)!r} must not contain '..'")
    problem = RunNames(Path(path), has_data_files).find_problem()
    if problem:
        raise RequestRefusedError(problem)
    return Path(path)


def _shown(text: str) -> str:
    """Return a text as far as a message has room for it."""
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 3]}..."


def _check_names(names: RunNames, folder: Path) -> None:
    """Refuse names that are too long for the folder, or only after a number was appended."""
    problem = names.find_problem() or names.find_problem_in(folder)
    if problem:
        raise RequestRefusedError(problem)


def _check_files(n_files: int, folder: Path) -> None:
    """Refuse a run for which the file system has too few free entries (inodes); not all file systems count them."""
    disk = os.statvfs(folder)
    if disk.f_files and disk.f_favail < n_files:
        raise RequestRefusedError(
            f"the disk of {folder} has room for {disk.f_favail} further files (inodes), the run needs {n_files}"
        )
