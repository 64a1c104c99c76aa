"""The process of a ViewerLink: takes drawings from standard input, and draws them in a viewer.

Arguments: URL APPLICATION RECORDING_ID PARENT. It never ends in the usual way, which waits for the viewer.
"""

import ctypes
import os
import pickle
import signal
import sys
import threading
from typing import BinaryIO

from std_daq.view3d.drawing import Drawing, why_not_drawn
from std_daq.view3d.viewer_link import CANNOT_BE_DRAWN, END_S, HAS_IT, MAX_WHY_BYTES

_PR_SET_PDEATHSIG = 1
_FLUSH_S = 3600.0  # whoever started this process has less patience, and kills it


def main() -> None:
    """Draw until standard input ends."""
    url, application, recording_id, parent = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        os._exit(1)
    try:
        _draw_all(url, application, recording_id)
    except Exception as error:  # noqa: BLE001 -- Rerun raises RuntimeError and ValueError; a drawing, what it will
        os.write(sys.stderr.fileno(), f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def _draw_all(url: str, application: str, recording_id: str) -> None:
    import rerun

    recording = rerun.RecordingStream(application, recording_id=recording_id)
    recording.connect_grpc(url)
    while (drawing := _next_drawing(sys.stdin.buffer)) is not None:
        if why := why_not_drawn(drawing, recording):
            os.write(sys.stdout.fileno(), CANNOT_BE_DRAWN + why.encode(errors="replace")[:MAX_WHY_BYTES])
            continue
        recording.flush(timeout_sec=_FLUSH_S)
        os.write(sys.stdout.fileno(), HAS_IT)
    # The viewer sees a connection that ends, not one that breaks; a viewer that hangs is not waited for.
    ending = threading.Thread(target=recording.disconnect, daemon=True)
    ending.start()
    ending.join(END_S)


def _next_drawing(source: BinaryIO) -> Drawing | None:
    length = int.from_bytes(source.read(8), "little")
    message = source.read(length)
    if not length or len(message) < length:
        return None
    drawing: Drawing = pickle.loads(message)  # noqa: S301 -- from the process that started this one
    return drawing


if __name__ == "__main__":
    main()
