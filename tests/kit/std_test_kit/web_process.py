"""The console as a process, which a test ends and starts again at the same port."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from std_test_kit.free_ports import free_tcp_port

TOKEN = "a-token-of-the-browser-tests"
_START_S = 60.0
_END_S = 15.0


class WebProcess:
    """``std-web``; a context manager.

    Parameters
    ----------
    folder
        For its token and its log.
    configs
        Configurations of the detectors.
    token
        Its token.
    """

    def __init__(self, folder: Path, *configs: Path, token: str = TOKEN) -> None:
        self._log = folder / "web.log"
        token_file = folder / "web-token"
        token_file.write_text(token)
        token_file.chmod(0o600)
        self.port = free_tcp_port()
        self.url = f"http://127.0.0.1:{self.port}"
        options = [part for config in configs for part in ("--config", str(config))]
        self._command = [sys.executable, "-m", "std_web", *options, "--port", str(self.port), "--token-file"]
        self._command.append(str(token_file))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=os.environ)
        deadline = time.monotonic() + _START_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/api/v1/detectors", timeout=5):
                    return
            except urllib.error.HTTPError as error:
                if error.code == HTTPStatus.UNAUTHORIZED:
                    return
                self.end()
                raise
            except OSError:  # not there yet, or too busy to answer in time
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.end()
                    raise RuntimeError(f"the console did not start:\n{self._log.read_text()}") from None
                time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if kind is not None and self._log.exists():
            sys.stderr.write(self._log.read_text())
