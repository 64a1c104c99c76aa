"""SmallDisk: a mount that a test fills, makes read-only or breaks. Only root mounts."""

import errno
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

# linux/fs/ext4/ext4.h: from now on every access fails with EIO, as if the disk had been pulled out
_EXT4_SHUTDOWN = 0x8004587D
# linux/fs.h
_FREEZE = 0xC0045877
_THAW = 0xC0045878
_WITHOUT_FLUSH = struct.pack("I", 2)
_BLOCK = bytes(4096)


class SmallDisk:
    """A mounted file system.

    Parameters
    ----------
    folder
        Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @classmethod
    def in_memory(cls, folder: Path, n_bytes: int, n_files: int = 1000) -> Self:
        """Mount a tmpfs with room for so many bytes and files."""
        folder.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={n_bytes},nr_inodes={n_files}", "tmpfs", folder)
        return cls(folder)

    @classmethod
    def on_device(cls, folder: Path, n_bytes: int) -> Self:
        """Mount an ext4 of this size, which lies in a file beside the folder."""
        folder.mkdir()
        image = folder.with_suffix(".ext4")
        with image.open("wb") as file:
            file.truncate(n_bytes)
        _run("mkfs.ext4", "-q", image)
        _run("mount", "-o", "loop", image, folder)
        return cls(folder)

    @classmethod
    def over_another(cls, folder: Path) -> Self:
        """Mount an overlay, as containers have it, over a tmpfs."""
        lower = cls.in_memory(folder.with_name("lower"), 256 << 20).folder
        for name in ("below", "above", "work"):
            (lower / name).mkdir()
        folder.mkdir()
        layers = f"lowerdir={lower}/below,upperdir={lower}/above,workdir={lower}/work"
        _run("mount", "-t", "overlay", "-o", layers, "overlay", folder)
        cls(lower).close()  # it stays until the overlay is gone
        return cls(folder)

    def fill(self) -> None:
        """Take all room, as another user's program does."""
        try:
            with self._filler.open("ab", buffering=0) as file:
                while True:
                    file.write(_BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def make_read_only(self) -> None:
        """Let the kernel find an error on the disk of an ext4, after which it allows no more writes."""
        _run("mount", "-o", "remount,abort", self.folder)

    def pull_out(self) -> None:
        """Let every access to an ext4 fail from now on."""
        self._control(_EXT4_SHUTDOWN, _WITHOUT_FLUSH)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let every write to an ext4 wait while the context is open, as a server does that does not answer."""
        self._control(_FREEZE, bytes(4))
        try:
            yield
        finally:
            self._control(_THAW, bytes(4))

    def _control(self, request: int, argument: bytes) -> None:
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, request, argument)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Unmount it, whoever uses it."""
        _run("umount", "--lazy", self.folder)


def can_mount(folder: Path) -> bool:
    """Return whether this user may mount, as root in a container may not."""
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
