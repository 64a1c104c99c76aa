"""The process of a ViewerLink: takes drawings from standard input, and draws them in a viewer.

Arguments: URL APPLICATION RECORDING_ID PARENT. It never ends in the usual way, which waits for the viewer.

Rerun's client connects again without a word. A viewer that was started again would then get drawings without what they
belong to, and show nothing. So the process looks at its connection, and ends with it; the next one begins anew.
"""

import ctypes
import os
import pickle
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from std_daq.view3d.drawing import Drawing, why_not_drawn
from std_daq.view3d.viewer_link import CANNOT_BE_DRAWN, END_S, HAS_IT, MAX_WHY_BYTES

_PR_SET_PDEATHSIG = 1
_FLUSH_S = 3600.0  # whoever started this process has less patience, and kills it
_LOOK_S = 0.2
_ESTABLISHED = 1  # the first byte of TCP_INFO


def main() -> None:
    """Draw until standard input ends."""
    url, application, recording_id, parent = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        os._exit(1)
    try:
        _draw_all(url, application, recording_id)
    except Exception as error:  # noqa: BLE001 -- Rerun raises RuntimeError and ValueError; a drawing, what it will
        _fail(f"{type(error).__name__}: {error}")
    os._exit(0)


def _fail(why: str) -> None:
    os.write(sys.stderr.fileno(), f"{why}\n".encode())
    os._exit(1)


def _draw_all(url: str, application: str, recording_id: str) -> None:
    import rerun

    recording = rerun.RecordingStream(application, recording_id=recording_id)
    recording.connect_grpc(url)
    port, connections = urlsplit(url).port, frozenset[int]()
    while (drawing := _next_drawing(sys.stdin.buffer)) is not None:
        if why := why_not_drawn(drawing, recording):
            os.write(sys.stdout.fileno(), CANNOT_BE_DRAWN + why.encode(errors="replace")[:MAX_WHY_BYTES])
            continue
        recording.flush(timeout_sec=_FLUSH_S)
        if port is not None and not connections:
            connections = connections_to(port)
            threading.Thread(target=_end_with, args=(connections, port), daemon=True).start()
        os.write(sys.stdout.fileno(), HAS_IT)
    # The viewer sees a connection that ends, not one that breaks; a viewer that hangs is not waited for.
    ending = threading.Thread(target=recording.disconnect, daemon=True)
    ending.start()
    ending.join(END_S)


def connections_to(port: int) -> frozenset[int]:
    """Return the local ports of this process's connections to a port that neither side has ended."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it is no socket, or has been closed meanwhile
            if not path.is_socket():
                continue
            with socket.socket(fileno=os.dup(int(path.name))) as one:
                if one.family not in {socket.AF_INET, socket.AF_INET6} or one.getpeername()[1] != port:
                    continue
                if one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED:
                    found.add(int(one.getsockname()[1]))
    return frozenset(found)


def _end_with(connections: frozenset[int], port: int) -> None:
    """End the process as soon as one of its connections to the viewer has ended."""
    while connections <= connections_to(port):
        time.sleep(_LOOK_S)
    _fail("its connection ended")


def _next_drawing(source: BinaryIO) -> Drawing | None:
    length = int.from_bytes(source.read(8), "little")
    message = source.read(length)
    if not length or len(message) < length:
        return None
    drawing: Drawing = pickle.loads(message)  # noqa: S301 -- from the process that started this one
    return drawing


if __name__ == "__main__":
    main()
