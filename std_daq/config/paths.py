"""Where the services of a system meet: its runtime directory."""

import os
import stat
import tempfile
from pathlib import Path

from std_daq.config.platform import PlatformConfig
from std_daq.errors import ConfigError

# sockaddr_un.sun_path holds 108 bytes with the terminating zero.
MAX_SOCKET_PATH_BYTES = 107


def runtime_dir(config: PlatformConfig) -> Path:
    """Return the directory of one system's sockets and service records (it may not exist yet).

    The configuration's ``runtime_dir``, else the environment's STD_DAQ_RUNTIME_DIR, else XDG_RUNTIME_DIR, else the
    directory for temporary files; then a folder named as the system.
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
    """Make the runtime directory, mode 0770, and check that it is ours and that socket paths in it fit."""
    path = runtime_dir(config)
    longest = len(os.fsencode(path / "services" / "udp-recv-1023-1023.sock"))
    if longest > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"socket paths in this directory have {longest} bytes, the system allows {MAX_SOCKET_PATH_BYTES}",
            key="runtime_dir",
            value=str(path),
            remedy="set runtime_dir or STD_DAQ_RUNTIME_DIR to a shorter path",
        )
    try:
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        path.mkdir(mode=0o770, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}", key="runtime_dir", value=str(path)) from None
    if path.is_symlink() or stat.S_IMODE(path.stat().st_mode) & stat.S_IWOTH or _is_a_trap(path.parent):
        raise ConfigError(
            "others may write here or put a link in its place",
            key="runtime_dir",
            value=str(path),
            remedy="remove it, or set runtime_dir to a directory of the users of this system",
        )
    return path


def _own_temporary_dir() -> Path:
    return Path(tempfile.gettempdir()) / f"std-daq-{os.getuid()}"


def _is_a_trap(parent: Path) -> bool:
    """Return whether another user has made what is ours among the temporary files of all."""
    return parent == _own_temporary_dir() and parent.lstat().st_uid != os.getuid()


def broker_url_file(config: PlatformConfig) -> Path:
    """Return the file in which ``std-daq up`` leaves the URL of the broker that it uses, for the other commands."""
    return runtime_dir(config) / "broker-url"
