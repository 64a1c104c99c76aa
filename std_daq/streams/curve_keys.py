"""CURVE key pairs in files: one key a file, as 40 characters of text; a secret one is for its owner only."""

import stat
from dataclasses import dataclass
from pathlib import Path

import zmq

from std_daq.errors import ConfigError

PUBLIC_SUFFIX, SECRET_SUFFIX = ".public", ".secret"
_KEY_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What the side that is connected to needs: its secret key, and the folder with its clients' public keys."""

    secret: bytes
    clients: Path


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What the side that connects needs: its secret key, and the server's public key."""

    secret: bytes
    server: bytes


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a key pair; returns the files of the public and of the secret key. Existing files are left alone.

    Raises
    ------
    ConfigError
        When a file is there already or cannot be written.
    """
    public, secret = zmq.curve_keypair()
    public_file, secret_file = folder / f"{name}{PUBLIC_SUFFIX}", folder / f"{name}{SECRET_SUFFIX}"
    for file, key, mode in ((secret_file, secret, 0o600), (public_file, public, 0o644)):
        try:
            file.touch(mode, exist_ok=False)
            file.write_bytes(key + b"\n")
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", file=file) from None
    return public_file, secret_file


def read_server_keys(secret_key_file: Path, clients: Path) -> ServerKeys:
    """Read the server's key; raises ConfigError, also where there is no folder of clients' keys."""
    if not clients.is_dir():
        raise ConfigError("there is no such folder", file=clients, remedy="put the public keys of the clients there")
    return ServerKeys(read_secret_key(secret_key_file), clients)


def read_client_keys(secret_key_file: Path, server_public_key_file: Path) -> ClientKeys:
    """Read the keys of a client; raises ConfigError."""
    return ClientKeys(read_secret_key(secret_key_file), read_public_key(server_public_key_file))


def read_secret_key(file: Path) -> bytes:
    """Read a secret key; raises ConfigError also where everybody may read it."""
    key = read_public_key(file)
    if file.stat().st_mode & stat.S_IROTH:
        raise ConfigError("everybody may read this secret key", file=file, remedy=f"chmod 600 {file}")
    return key


def read_public_key(file: Path) -> bytes:
    """Read a key; raises ConfigError with its file where there is none."""
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"the key cannot be read: {error.strerror}", file=file, remedy="std-daq keys makes a pair"
        ) from None
    try:
        # Any 40 characters of the alphabet are a key, and the public one of a secret key can be worked out.
        zmq.curve_public(key)
    except (ValueError, zmq.ZMQError):
        raise ConfigError(f"this is no key of {_KEY_CHARACTERS} characters", file=file) from None
    return key


def public_keys(folder: Path) -> frozenset[bytes]:
    """Return the public keys in a folder; files that hold none are left aside."""
    keys = set()
    for file in folder.glob(f"*{PUBLIC_SUFFIX}"):
        try:
            keys.add(read_public_key(file))
        except ConfigError:
            continue
    return frozenset(keys)
