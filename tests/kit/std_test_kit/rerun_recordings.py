"""Recordings of Rerun, read back; and a viewer without a window that writes down what it is sent."""

import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rerun  # noqa: F401 -- opens sockets that it keeps: before a test, not in it
from rerun.chunk import RrdReader

from std_daq.view3d.viewer_address import ViewerAddress
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.wait import wait_until

_MESSAGE_S = 10.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """What was logged at once: places on timelines, and components, each a list of instances."""

    is_static: bool
    times: dict[str, int]
    components: dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds."""

    application: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    has_blueprint: bool = False

    def row(self, entity: str) -> Row:
        """Return the only row of an entity."""
        (row,) = self.rows[entity]
        return row


def read_recording(path: Path) -> Recording:
    """Read a recording, which its writer need not have begun or finished."""
    deadline = time.monotonic() + _MESSAGE_S
    while True:
        try:
            return _read(path)
        except RuntimeError as error:  # the writer is in the middle of a message
            if "exceeds file size" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)


def _read(path: Path) -> Recording:
    if not path.exists() or not path.stat().st_size:
        return Recording("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file that has no end yet
        reader = RrdReader(path)
        stores = reader.recordings()
        if not stores:
            return Recording("")
        recording = Recording(stores[0].application_id, has_blueprint=bool(reader.blueprints()))
        chunks = reader.stream().to_chunks()
    for chunk in chunks:
        columns = chunk.to_record_batch()
        for number in range(chunk.num_rows):
            row = _row(columns, number, chunk.is_static, set(chunk.timeline_names))
            recording.rows.setdefault(chunk.entity_path, []).append(row)
    return recording


def _row(columns: Any, number: int, is_static: bool, timelines: set[str]) -> Row:
    times, components = {}, {}
    for name in columns.schema.names:
        value = columns.column(name)[number]
        if name in timelines:
            times[name] = int(value.value if hasattr(value, "value") else value.as_py())
        elif name != "rerun.controls.RowId" and value.as_py() is not None:
            components[name] = value.as_py()
    return Row(is_static, times, components)


@contextmanager
def viewer_process(path: Path, port: int | None = None) -> Iterator[tuple[ViewerAddress, "subprocess.Popen[bytes]"]]:
    """Run Rerun's own server, which writes what it is sent to a file; yields its address and its process."""
    address = ViewerAddress("127.0.0.1", port or free_tcp_port())
    package = find_spec("rerun_cli")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).with_name("rerun")
    process = subprocess.Popen(
        [str(program), "--save", str(path), "--bind", address.host, "--port", str(address.port)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: address.is_listening(0.1), 20)
        yield address, process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
