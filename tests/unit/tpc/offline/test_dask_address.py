"""What does not answer as the scheduler of a Dask cluster is told, and not waited for."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from std_daq.errors import ResourceError
from std_daq.tpc.offline import execution


@contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """Listen on a port: accept and send this to whoever connects, or, with None, not even accept."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def serve() -> None:
            while answer is not None:
                try:
                    connections.append(server.accept()[0])
                    connections[-1].sendall(answer)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_other_programs_are_no_scheduler(answer: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_CONNECT_S", 1.0)
    told: list[str] = []
    with listening(answer) as port:
        address = f"tcp://127.0.0.1:{port}"
        with pytest.raises(ResourceError, match=f"no Dask scheduler answers at {address}: is that the address"):
            execution.OnDask(address, told.append)
    assert told == [f"connecting to the Dask scheduler at {address}, for at most 1 s"]


def test_what_dask_does_not_speak_is_no_scheduler() -> None:
    with pytest.raises(ResourceError, match=r"answers at nonsense://127\.0\.0\.1:8786"):
        execution.OnDask("nonsense://127.0.0.1:8786", list[str]().append)
