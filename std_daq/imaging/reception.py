"""What the receivers see on their UDP ports: a file of each receiver in the runtime directory, and the words for it.

A receiver writes its file anew when something has changed. The writer agent and ``std-daq status`` read it, so that
whoever waits for images is told why they do not come. Every container that shares the runtime directory can read it.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from std_daq.config.paths import runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.folders.held_lock import HeldLock, holder_of
from std_daq.folders.new_file import NewFile

_PATTERN = "*.reception.json"
_WAIT_S = 0.2
_MAX_PORTS_NAMED = 3

REFUSAL_WORDS = {
    "wrong_length": "of another length",
    "foreign_detector": "of another type of detector",
    "foreign_version": "of another header version",
    "foreign_module": "of another module: are two cables exchanged?",
    "unit_out_of_range": "with numbers that a frame does not have",
    "duplicate": "that had come before",
    "late": "of frames that had ended",
    "implausible": "with frame numbers that do not follow on the others",
    "slot_taken": "into frames that the module's other port was receiving",
    "other_product": "of another product: detector.others_to passes them on to whoever receives it",
    "other_exposure": "with another pulse id than their frame",
    "foreign_sender": "from another address than the detector's: what else sends to this port?",
}
"""Packets that were refused for a reason, as in "3 packets of another header version"."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RefusedLength(_Record):
    """Packets of a length that does not fit the configuration."""

    n_bytes: int = Field(description="Length of the packets.")
    n_packets: int = Field(description="Number of packets.")
    hint: str = Field(default="", description="How the detector may be set if it sends such packets; a question.")


class PortReception(_Record):
    """What came on one UDP port since the receiver was started."""

    udp_port: int
    module: int
    received: int = 0
    rejected: dict[str, int] = Field(default_factory=dict, description="Refused packets by reason.")
    kernel_drops: int = 0
    frames_complete: int = 0
    frames_incomplete: int = 0
    expected_length: str = Field(default="", description="Lengths that fit, such as 4144, or 68 to 7432.")
    refused_lengths: tuple[RefusedLength, ...] = ()
    packets_per_frame: int = 0
    last_incomplete: int = Field(default=0, description="Packets that came of the last incomplete frame.")
    last_incomplete_hint: str = ""
    same_packets: str = Field(default="", description="Which packets come, if of each frame the same are missing.")
    highest_number: int = Field(default=0, description="Highest packet number that was refused.")
    highest_number_hint: str = ""

    def since(self, before: "PortReception | None") -> "PortReception":
        """Return what came since an earlier record; counts that have gone down were counted anew since then."""
        if before is None or before.received > self.received:
            return self
        lengths = {length.n_bytes: length.n_packets for length in before.refused_lengths}
        return self.model_copy(
            update={
                "received": self.received - before.received,
                "rejected": {name: n - before.rejected.get(name, 0) for name, n in self.rejected.items()},
                "kernel_drops": self.kernel_drops - before.kernel_drops,
                "frames_complete": self.frames_complete - before.frames_complete,
                "frames_incomplete": self.frames_incomplete - before.frames_incomplete,
                "refused_lengths": tuple(
                    length.model_copy(update={"n_packets": length.n_packets - lengths.get(length.n_bytes, 0)})
                    for length in self.refused_lengths
                ),
            }
        )


class Reception(_Record):
    """What came on all ports of one receiver since it was started."""

    ports: tuple[PortReception, ...]


def reception_path(config: PlatformConfig, instance: str) -> Path:
    """Return the path of the file in which a receiver writes what it sees."""
    return runtime_dir(config) / f"{instance}.reception.json"


class OwnReception:
    """What this receiver sees, in a file that counts as long as this process lives.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: HeldLock | None = None

    def write(self, reception: Reception) -> None:
        """Write it; a reader finds either the old or the new record. Raises OSError."""
        if self._lock is None:
            lock = HeldLock(_lock_of(self._path))
            lock.take(_WAIT_S)
            self._lock = lock
        with NewFile(self._path) as new:
            new.write(reception.model_dump_json().encode())
            new.replace()

    def remove(self) -> None:
        """Remove the file, because the receiver ends."""
        self._path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def read_receptions(config: PlatformConfig) -> list[PortReception]:
    """Return what the receivers of this server see, port by port.

    A receiver that has ended sees nothing, whatever it has left; nor does one whose file is not readable.
    """
    ports: list[PortReception] = []
    for path in sorted(runtime_dir(config).glob(_PATTERN)):
        if holder_of(_lock_of(path)) is None:
            continue
        with suppress(OSError, ValidationError):
            ports += Reception.model_validate_json(path.read_text()).ports
    return sorted(ports, key=lambda port: port.udp_port)


def since(before: Iterable[PortReception], now: Iterable[PortReception]) -> list[PortReception]:
    """Return what came on each port since earlier records."""
    known = {port.udp_port: port for port in before}
    return [port.since(known.get(port.udp_port)) for port in now]


def describe_reception(ports: Sequence[PortReception], *, is_quiet_told: bool = True) -> list[str]:
    """Return in words what is wrong with the packets that came, and where; an empty list if nothing is wrong.

    Parameters
    ----------
    ports
        What came on each port.
    is_quiet_told
        Whether ports on which no packet came are told.
    """
    quiet = [port for port in ports if not port.received]
    notes: dict[str, list[PortReception]] = {}
    for port in ports:
        for note in _notes(port):
            notes.setdefault(note, []).append(port)
    told = [f"{note.format(where=_where(some))}" for note, some in notes.items()]
    if quiet and is_quiet_told and len(quiet) == len(ports):
        told.append(
            f"no packet came {_where(quiet)}: is the detector running, and does it send to these ports of this server?"
        )
    elif quiet and is_quiet_told:
        told.append(f"no packet came {_where(quiet)}")
    return told


def _notes(port: PortReception) -> list[str]:
    """Return what is wrong with the packets of a port; ``{where}`` stands for the port."""
    notes = [
        f"{_packets(length.n_packets)} of {length.n_bytes} bytes came {{where}}, {port.expected_length} were "
        f"expected{_question(length.hint)}"
        for length in port.refused_lengths
        if length.n_packets > 0
    ]
    for reason, n in port.rejected.items():
        if n <= 0 or (reason == "wrong_length" and port.refused_lengths):
            continue
        if reason == "unit_out_of_range":
            notes.append(
                f"{_packets(n)} with numbers up to {port.highest_number} came {{where}}, a frame has "
                f"{_packets(port.packets_per_frame)}{_question(port.highest_number_hint)}"
            )
        else:
            notes.append(f"{_packets(n)} came {{where}} {REFUSAL_WORDS.get(reason, reason)}")
    if port.frames_incomplete > 0:
        n_frames = port.frames_incomplete + port.frames_complete
        notes.append(
            f"{port.frames_incomplete} of {n_frames} frames lacked packets {{where}}, the last had "
            f"{port.last_incomplete} of {_packets(port.packets_per_frame)}{_question(port.last_incomplete_hint)}"
        )
        if port.same_packets:
            notes.append(port.same_packets)
    if port.kernel_drops > 0:
        notes.append(f"the kernel dropped {_packets(port.kernel_drops)} {{where}}: is udp.socket_buffer_bytes granted?")
    return notes


def _question(hint: str) -> str:
    return f": {hint}" if hint else ""


def _packets(n: int) -> str:
    return "1 packet" if n == 1 else f"{n} packets"


def _where(ports: Sequence[PortReception]) -> str:
    """Return the ports of a note with their modules, of which the first few are named."""
    if len(ports) == 1:
        return f"on UDP port {ports[0].udp_port} (module {ports[0].module})"
    shown = ", ".join(f"{port.udp_port} (module {port.module})" for port in ports[:_MAX_PORTS_NAMED])
    more = len(ports) - _MAX_PORTS_NAMED
    each = f"each of the UDP ports {shown}"
    return f"on {each} and {more} more" if more > 0 else f"on {each}"
