"""Keys of a farm, for encryption between routers, workers and clients of std-daq by CurveZMQ.

A folder has ``server.json``, for the router or the standalone worker, and ``NAME.json`` for each worker and client. Who
has such a file may speak with the server; the server knows the public key of each.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import zmq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from std_daq.errors import ArgumentError
from std_daq.folders.new_file import NewFile

SERVER_FILE = "server.json"
_KEY = r"^[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}$"  # Z85


class _KeyFile(BaseModel):
    """What both kinds of files have."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    PROBLEM: ClassVar[str]

    public: str = Field(pattern=_KEY, description="Public key of who has this file.")
    secret: str = Field(pattern=_KEY, description="Secret key of who has this file.")

    @classmethod
    def load(cls, option: str, path: Path) -> Self:
        """Read a file; raises ArgumentError if it cannot be read, or is of the other kind."""
        try:
            return cls.model_validate_json(path.read_text())
        except OSError as error:
            raise ArgumentError(option, f"cannot be read: {error.strerror}", value=path) from None
        except (ValidationError, ValueError):
            raise ArgumentError(option, cls.PROBLEM, value=path, remedy="std-sim keys makes such files") from None


class ServerKeys(_KeyFile):
    """The file of a router or standalone worker."""

    clients: dict[str, str] = Field(description="Public keys of those who may connect, by name.")

    PROBLEM: ClassVar[str] = "this is no file of keys of a server"


class ClientKeys(_KeyFile):
    """The file of a client or of a worker behind a router."""

    server: str = Field(pattern=_KEY, description="Public key of the server.")

    PROBLEM: ClassVar[str] = "this is no file of keys of a client or worker"


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """Makes files of keys.

    Parameters
    ----------
    folder
        Where they are; created if missing.
    """

    folder: Path

    def add(self, names: Sequence[str]) -> list[Path]:
        """Make the files of these names, and that of the server if there is none; returns all that were written.

        Raises
        ------
        ArgumentError
            There is a file of such a name, or a name is none.
        """
        for name in names:
            if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
                raise ArgumentError("NAME", "a name has letters, digits, '-', '_' and '.'", value=name)
            if self._path(name).exists() or self._path(name).name == SERVER_FILE:
                raise ArgumentError(
                    "NAME", "there is a file of this name", value=self._path(name), remedy="another name"
                )
        if len(set(names)) < len(names):
            raise ArgumentError("NAME", "each name is given once")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = self._server()
        made = [self._make(server.public) for _ in names]
        clients = server.clients | {name: keys.public for name, keys in zip(names, made, strict=True)}
        for name, keys in zip(names, made, strict=True):
            _write(self._path(name), keys.model_dump())
        # Last: a name that is in it has its file.
        _write(self.folder / SERVER_FILE, server.model_dump() | {"clients": clients})
        return [self.folder / SERVER_FILE, *map(self._path, names)]

    def _server(self) -> ServerKeys:
        path = self.folder / SERVER_FILE
        if path.exists():
            return ServerKeys.load("--output", path)
        public, secret = _pair()
        return ServerKeys(public=public, secret=secret, clients={})

    @staticmethod
    def _make(server: str) -> ClientKeys:
        public, secret = _pair()
        return ClientKeys(public=public, secret=secret, server=server)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def _pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file that nobody else can read, whole or not at all."""
    with NewFile(path, mode=0o600) as new:
        new.write(json.dumps(content, indent=1).encode())
        os.fsync(new.fd)
        new.replace()
