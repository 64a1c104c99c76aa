"""BrowserViewer: the viewer for browsers that Rerun's package brings, served from this machine."""

import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from std_daq.address_words import address_in_words
from std_daq.errors import MissingExtraError, PortError, ResourceError
from std_daq.extras import extra_of
from std_daq.view3d.viewer_address import DEFAULT_BROWSER_PORT, ViewerAddress

_START_S = 20.0
_LOOK_S = 0.05
_MEMORY = "1GiB"
# What listens at all addresses is reached from this machine at these.
_OF_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- what a user has asked for


class BrowserViewer:
    """A process that serves the viewer's page, and keeps what is drawn for the browsers that open it.

    It keeps up to 1 GiB, and drops the oldest drawings beyond that.

    Parameters
    ----------
    host
        Name or address of this machine at which browsers reach it. On 127.0.0.1, only those of this machine do.
    port
        Of the page.
    data_port
        Where browsers get what is drawn; None: any free one.
    listen
        The address to listen at, if not that of the host: ``0.0.0.0`` in a container whose ports are published.

    Attributes
    ----------
    url
        What to open in a browser.
    address
        Where to draw, from this machine.

    Raises
    ------
    PortError
        A port is in use.
    MissingExtraError
        Rerun is not installed.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_BROWSER_PORT,
        *,
        data_port: int | None = None,
        listen: str | None = None,
    ) -> None:
        listen, data_port = _listen_at(host if listen is None else listen, port, data_port)
        near = _OF_THIS_MACHINE.get(listen, listen)
        self.address = ViewerAddress(near, data_port)
        page = ViewerAddress(host, port)
        self.url = f"http://{page}?url={quote(ViewerAddress(host, data_port).url, safe='')}"
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "std_daq.view3d.viewer_program", str(os.getpid()),
                str(_program()), "--serve-web", "--bind", listen, "--port", str(data_port),
                "--web-viewer-port", str(port), "--cors-allow-origin", f"http://{page}",
                "--server-memory-limit", _MEMORY,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._wait_until_serving(ViewerAddress(near, port))
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Check that it still serves.

        Raises
        ------
        ResourceError
            It ended.
        """
        if self._process.poll() is not None:
            raise ResourceError(f"the viewer for browsers ended with exit code {self._process.returncode}")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_serving(self, page: ViewerAddress) -> None:
        deadline = time.monotonic() + _START_S
        while not (page.is_listening(_LOOK_S) and self.address.is_listening(_LOOK_S)):
            self.check()
            if time.monotonic() > deadline:
                raise ResourceError(f"the viewer for browsers does not serve {page} within {_START_S:g} s")
            time.sleep(_LOOK_S)


def _program() -> Path:
    """Return the viewer itself. The command ``rerun`` only starts it, and would leave it behind if it is killed."""
    package = find_spec("rerun_cli")
    if package is None or package.origin is None:
        raise MissingExtraError(f"needs rerun: pip install 'std-daq[{extra_of('rerun')}]'")
    return Path(package.origin).with_name("rerun")


def _listen_at(host: str, port: int, data_port: int | None) -> tuple[str, int]:
    """Check that nobody has the ports; returns the number of the address, and the port of what is drawn."""
    try:
        number, _ = _bind(host, port)
    except OSError as error:
        page = ViewerAddress(host, port)
        raise PortError(f"the page of the viewer cannot be served at {page}: {address_in_words(error)}") from error
    try:
        return _bind(number, data_port or 0)
    except OSError as error:
        address = ViewerAddress(host, data_port or 0)
        raise PortError(f"browsers cannot get what is drawn at {address}: {error.strerror}") from error


def _bind(host: str, port: int) -> tuple[str, int]:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        number, free, *_ = listening.getsockname()
        return str(number), int(free)
