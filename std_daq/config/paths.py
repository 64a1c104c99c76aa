"""The runtime directory of a system, which holds its sockets and service records."""

import errno
import os
import stat
import tempfile
from pathlib import Path

from std_daq.config.platform import PlatformConfig
from std_daq.errors import ConfigError
from std_daq.folders.owners import distrust_folder

# sockaddr_un.sun_path holds 108 bytes with the terminating zero.
MAX_SOCKET_PATH_BYTES = 107
_REMEDY = "remove it, or set runtime_dir to a directory that only the users of this system may write"


def runtime_dir(config: PlatformConfig) -> Path:
    """Return the directory of the sockets and service records of a system, which may not exist yet.

    It is a folder with the name of the system. The parent is the first of these that is set: ``runtime_dir`` of the
    configuration, STD_DAQ_RUNTIME_DIR, ``std-daq`` in XDG_RUNTIME_DIR, or a folder of this user in the directory for
    temporary files.
    """
    if config.runtime_dir is not None:
        parent = config.runtime_dir
    elif os.environ.get("STD_DAQ_RUNTIME_DIR"):
        parent = Path(os.environ["STD_DAQ_RUNTIME_DIR"])
    elif os.environ.get("XDG_RUNTIME_DIR"):
        parent = Path(os.environ["XDG_RUNTIME_DIR"]) / "std-daq"
    else:
        parent = _own_temporary_dir()
    return parent / config.name


def make_runtime_dir(config: PlatformConfig) -> Path:
    """Create the runtime directory with mode 0770; raises ConfigError if it is unsafe or if its path is too long."""
    path = runtime_dir(config)
    _check_length(path)
    try:
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        path.mkdir(mode=0o770, exist_ok=True)
    except OSError as error:
        raise _uncreatable(path, error.errno) from None
    _check_mode(path)
    check_runtime_dir(config)
    return path


def check_runtime_place(config: PlatformConfig) -> None:
    """Check, without creating anything, that `make_runtime_dir` would work; raises the same ConfigError."""
    path = runtime_dir(config)
    _check_length(path)
    found = next(folder for folder in (path, *path.parents) if os.path.exists(folder))  # noqa: PTH110 -- no errors
    if not found.is_dir():
        raise _uncreatable(path, errno.EEXIST if found in {path, path.parent} else errno.ENOTDIR)
    if found != path and not os.access(found, os.W_OK | os.X_OK):
        raise _uncreatable(path, errno.EACCES)
    if found == path:
        _check_mode(path)
    check_runtime_dir(config)


def _check_length(path: Path) -> None:
    longest = len(os.fsencode(path / "services" / "udp-recv-1023-1023.sock"))
    if longest > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"socket paths in this directory have {longest} bytes, but the system allows {MAX_SOCKET_PATH_BYTES}",
            key="runtime_dir",
            value=str(path),
            remedy="set runtime_dir or STD_DAQ_RUNTIME_DIR to a shorter path",
        )


def _uncreatable(path: Path, reason: int | None) -> ConfigError:
    return ConfigError(
        f"cannot be created: {os.strerror(reason or 0)}",
        key="runtime_dir",
        value=str(path),
        remedy="set runtime_dir or STD_DAQ_RUNTIME_DIR to a folder that this user may write",
    )


def _check_mode(path: Path) -> None:
    if path.is_symlink() or stat.S_IMODE(path.stat().st_mode) & stat.S_IWOTH:
        raise ConfigError(
            "other users may write here, or replace it with a link",
            key="runtime_dir",
            value=str(path),
            remedy=_REMEDY,
        )


def check_runtime_dir(config: PlatformConfig) -> None:
    """Check that the runtime directory, if it is there, was not made by just anybody.

    Whoever owns it can put a broker's address, records of services and sockets of his own there, and everybody believes
    them.

    Raises
    ------
    ConfigError
        Another user has made it, in a folder in which every user can make files.
    """
    path = runtime_dir(config)
    for folder in (path.parent, path):
        try:
            reason = distrust_folder(folder)
        except OSError:
            return  # not there, or not to be entered: nothing is read from it
        if reason:
            raise ConfigError(reason, key="runtime_dir", value=str(path), remedy=_REMEDY)


def _own_temporary_dir() -> Path:
    return Path(tempfile.gettempdir()) / f"std-daq-{os.getuid()}"


def broker_url_file(config: PlatformConfig) -> Path:
    """Return the file in which ``std-daq up`` stores the URL of its broker for other commands."""
    return runtime_dir(config) / "broker-url"
