"""Admission: checks whether a request can be carried out, and chooses the path of its file."""

import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath

from std_daq.errors import RequestRefusedError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.files.layout import find_data_files
from std_daq.recording.requests import WriteRequest
from std_writer_agent.plan import images_per_file

MAX_NAME_BYTES = 240
MAX_NAMES = 9999


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
        path = self._check_path(request.output_file)
        folder = self._nearest_folder(path)
        try:
            path = self._free_path(path, request, taken)
            self._check_disk(request, folder)
        except OSError as error:
            raise RequestRefusedError(f"{path}: {error.strerror}") from None
        return str(path)

    def _check_path(self, text: str) -> Path:
        path = PurePosixPath(text)
        if not path.is_absolute():
            raise RequestRefusedError(f"output_file {text!r} must be an absolute path")
        if ".." in path.parts:
            raise RequestRefusedError(f"output_file {text!r} must not contain '..'")
        try:
            longest = max(len(os.fsencode(part)) for part in path.parts)
        except UnicodeEncodeError:
            raise RequestRefusedError(f"output_file {text!r} cannot be encoded as a file name") from None
        if longest > MAX_NAME_BYTES:
            raise RequestRefusedError(
                f"output_file: a name in the path has {longest} bytes; the limit is {MAX_NAME_BYTES}"
            )
        if text.endswith(("/", "/.")) or Path(path).is_dir():
            raise RequestRefusedError(f"output_file {text!r} is a folder")
        return Path(path)

    def _nearest_folder(self, path: Path) -> Path:
        """Return the nearest existing folder above a path, with links resolved; refuse it if it is not allowed."""
        folder = next(parent for parent in path.parents if os.path.lexists(parent))
        real = Path(os.path.realpath(folder))
        if self._roots and not any(real.is_relative_to(root) for root in self._roots):
            allowed = ", ".join(map(str, self._roots))
            where = "" if real == folder else f" lies in {real}, which"
            raise RequestRefusedError(f"output_file {str(path)!r}{where} is outside the allowed folders: {allowed}")
        if not real.is_dir():
            raise RequestRefusedError(f"{folder} is not a folder")
        if self._is_own_user and not os.access(real, os.W_OK | os.X_OK):
            raise RequestRefusedError(f"the writer has no permission to write to the folder {folder}")
        return real

    def _free_path(self, path: Path, request: WriteRequest, taken: Collection[str]) -> Path:
        has_data_files = images_per_file(request) is not None
        if _is_free(path, taken, has_data_files=has_data_files):
            return path
        if request.conflict == "refuse":
            raise RequestRefusedError(f"{path} exists, or belongs to a request that has not ended")
        for number in range(1, MAX_NAMES + 1):
            other = path.with_name(f"{path.stem}_{number:04d}{path.suffix}")
            if _is_free(other, taken, has_data_files=has_data_files):
                return other
        raise RequestRefusedError(f"{path} exists, and so do all {MAX_NAMES} names with a number appended")

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


def _is_free(path: Path, taken: Collection[str], *, has_data_files: bool) -> bool:
    if str(path) in taken or os.path.lexists(path):
        return False
    files: Sequence[Path] = find_data_files(path) if has_data_files and path.parent.is_dir() else ()
    return not files
