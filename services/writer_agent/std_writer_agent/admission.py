"""Admission: checks whether a request can be carried out, and chooses the path of its file."""

import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

from std_daq.errors import RequestRefusedError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.files.layout import data_file_path, find_data_files
from std_daq.recording.naming import partial_path
from std_daq.recording.requests import WriteRequest
from std_writer_agent.plan import images_per_file

MAX_NAMES = 9999
# The kernel takes no longer path, whatever the filesystem; PATH_MAX includes the zero at the end.
MAX_PATH_BYTES = os.pathconf("/", "PC_PATH_MAX") - 1
# The largest numbers that names derived from the file's name can hold: those of data files, and process ids.
_MAX_NUMBER = 2**32
MAX_SHOWN_CHARS = 300


class Admission:
    """Checks write requests against the configuration and the disks of this machine.

    Parameters
    ----------
    config
        Configuration; it names the allowed folders and the user who owns the files.
    image_bytes
        Size of an image without compression.
    free_bytes
        Returns the free space of the disk that holds a folder, in bytes.
    """

    def __init__(
        self,
        config: DetectorConfig,
        image_bytes: int,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._roots = [Path(os.path.realpath(root)) for root in config.writer.output_roots]
        self._min_free_bytes = int(config.writer.min_free_gb * 1e9)
        # The access rights of another user cannot be checked from here. The h5_writer, which acts as that user,
        # reports a failure.
        self._is_own_user = config.writer_user_id in {None, os.geteuid()}
        self._image_bytes = image_bytes
        self._free_bytes = free_bytes

    def admit(self, request: WriteRequest, taken: Collection[str]) -> str:
        """Check a request, and return the path of the file that its run will write.

        Parameters
        ----------
        request
            The request.
        taken
            Paths of the files of other requests that have not ended.

        Raises
        ------
        RequestRefusedError
            The request cannot be carried out; the text is the reason.
        """
        if request.n_files is not None and request.n_images is None:
            raise RequestRefusedError("n_files needs n_images: without it, give images_per_file instead")
        try:
            return str(self._choose_path(request, taken))
        except OSError as error:
            place = error.filename or request.output_file
            raise RequestRefusedError(f"output_file: {error.strerror or error}: {_shown(str(place))}") from None

    def _choose_path(self, request: WriteRequest, taken: Collection[str]) -> Path:
        path = _check_text(request.output_file)
        folder = self._nearest_folder(path)
        if request.output_file.endswith(("/", "/.")) or path == path.parent:
            raise _is_a_folder(path)
        _check_lengths(path, folder, request)
        if self._is_folder(path):
            raise _is_a_folder(path)
        path = self._free_path(path, request, taken)
        self._check_disk(request, folder)
        return path

    def _is_folder(self, path: Path) -> bool:
        try:
            return path.is_dir()
        except PermissionError:
            if self._is_own_user:
                raise
            return False  # the user who owns the files may see more than this process

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

    def _free_path(self, path: Path, request: WriteRequest, taken: Collection[str]) -> Path:
        has_data_files = images_per_file(request) is not None
        if self._is_free(path, taken, has_data_files=has_data_files):
            return path
        if request.conflict == "refuse":
            raise RequestRefusedError(f"{path} exists, or belongs to a request that has not ended")
        for number in range(1, MAX_NAMES + 1):
            other = _numbered(path, number)
            if self._is_free(other, taken, has_data_files=has_data_files):
                return other
        raise RequestRefusedError(f"{path} exists, and so do all {MAX_NAMES} names with a number appended")

    def _is_free(self, path: Path, taken: Collection[str], *, has_data_files: bool) -> bool:
        if str(path) in taken or os.path.lexists(path):
            return False
        try:
            return not (has_data_files and path.parent.is_dir() and find_data_files(path))
        except PermissionError:
            if self._is_own_user:
                raise
            return True

    def _check_disk(self, request: WriteRequest, folder: Path) -> None:
        # The size of compressed images is not known in advance, so no space is demanded for them.
        n_images = request.n_images if request.compression == "none" else None
        needed = (n_images or 0) * self._image_bytes + self._min_free_bytes
        free = self._free_bytes(folder)
        if free < needed:
            raise RequestRefusedError(
                f"the disk of {folder} has {free / 1e9:.3f} GB free, the run needs {needed / 1e9:.3f} GB "
                f"(including {self._min_free_bytes / 1e9:.3f} GB that must stay free)"
            )


def _is_a_folder(path: Path) -> RequestRefusedError:
    return RequestRefusedError(f"output_file {_shown(str(path))!r} is a folder")


def _check_text(text: str) -> Path:
    path = PurePosixPath(text)
    if not path.is_absolute():
        raise RequestRefusedError(f"output_file {_shown(text)!r} must be an absolute path")
    if ".." in path.parts:
        raise RequestRefusedError(f"output_file {_shown(text)!r} must not contain '..'")
    if "\0" in text:
        raise RequestRefusedError(f"output_file {_shown(text)!r} must not contain a zero byte")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise RequestRefusedError(f"output_file {_shown(text)!r} cannot be encoded as a file name") from None
    return Path(path)


def _check_lengths(path: Path, folder: Path, request: WriteRequest) -> None:
    """Refuse a path if it, or a name that the run derives from it, is too long for the kernel or for the disk.

    A name can be allowed and still be useless: a run with several files adds a number to it, and the master has a
    longer name until it is whole.
    """
    max_name = os.pathconf(folder, "PC_NAME_MAX")
    longest = max(path.parts, key=_n_bytes)
    if _n_bytes(longest) > max_name:
        raise RequestRefusedError(
            f"output_file: the name {_shown(longest)!r} has {_n_bytes(longest)} bytes; {folder} allows {max_name}"
        )
    derived = max(_derived_paths(path, request), key=lambda one: _n_bytes(one.name))
    excess = max(_n_bytes(derived.name) - max_name, _n_bytes(str(derived)) - MAX_PATH_BYTES)
    if excess > 0:
        name = path.name
        raise RequestRefusedError(
            f"output_file: the name {_shown(name)!r} ({_n_bytes(name)} bytes) or its path ({_n_bytes(str(path))} "
            f"bytes) is {excess} bytes too long: the run also needs names such as ...{derived.name[-24:]!r}; names "
            f"have at most {max_name} bytes in {folder}, paths {MAX_PATH_BYTES}"
        )


def _derived_paths(path: Path, request: WriteRequest) -> list[Path]:
    """Return the longest paths that a run may use for its files."""
    if request.conflict == "rename":
        path = _numbered(path, MAX_NAMES)
    if images_per_file(request) is None:
        return [path]
    return [data_file_path(path, _MAX_NUMBER), partial_path(path, _MAX_NUMBER)]


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}_{number:04d}{path.suffix}")


def _n_bytes(text: str) -> int:
    return len(os.fsencode(text))


def _shown(text: str) -> str:
    """Return a text as far as a message has room for it."""
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 3]}..."
