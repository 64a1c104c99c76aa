"""Commands to a view that runs: reset its histograms, choose pads."""

import json
from dataclasses import dataclass, field
from typing import Self

from std_daq.config.paths import runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ResourceError

_MAX_PADS = 32


def commands_address(config: PlatformConfig) -> str:
    """Return the ZMQ address at which the view takes commands."""
    return f"ipc://{runtime_dir(config)}/event-view.ipc"


@dataclass(frozen=True, slots=True)
class ViewCommand:
    """What a view is told.

    Parameters
    ----------
    reset
        Begin the histograms again.
    pads
        Show the waveforms of these; empty: of the pad with the largest amplitude; None: as before.
    """

    reset: bool = False
    pads: tuple[int, ...] | None = field(default=None)

    def message(self) -> bytes:
        """Return the command as JSON."""
        return json.dumps({"reset": self.reset, "pads": self.pads}).encode()

    @classmethod
    def of_message(cls, message: bytes) -> Self:
        """Read a command.

        Raises
        ------
        ValueError
            It is none.
        """
        try:
            document = json.loads(message)
            reset, pads = document["reset"], document["pads"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise ValueError(f"no command: {error}") from None
        are_pads = pads is None or (
            isinstance(pads, list) and len(pads) <= _MAX_PADS and all(type(pad) is int and pad >= 0 for pad in pads)
        )
        if not (isinstance(reset, bool) and are_pads):
            raise ValueError(f"reset is true or false, and pads are null or at most {_MAX_PADS} numbers of pads")
        return cls(reset, None if pads is None else tuple(pads))


def send_command(config: PlatformConfig, command: ViewCommand, timeout_s: float = 5.0) -> None:
    """Tell a view what to do, and wait until it has done it.

    Raises
    ------
    ResourceError
        No view answers, or it refuses the command.
    """
    import zmq

    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(commands_address(config))
        socket.send(command.message())
        if not socket.poll(round(timeout_s * 1000)):
            raise ResourceError(
                f"no view of {config.name} answers within {timeout_s:g} s; start one: std-event-view --config FILE"
            )
        answer = socket.recv().decode(errors="replace")
    if answer != "done":
        raise ResourceError(f"the view refuses the command: {answer}")
