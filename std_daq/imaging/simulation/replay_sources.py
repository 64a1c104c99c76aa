"""Sources of a replay: capture files of single ports, or pcap files."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from std_daq.errors import CaptureError
from std_daq.imaging.detectors.packet_layout import HeaderField
from std_daq.imaging.simulation.header_fields import read_field
from std_daq.packets.bursts import BURST_PACKETS, Burst, cut, take_turns
from std_daq.packets.captures import CaptureReader, is_empty, port_of
from std_daq.packets.frame_steps import RESTART_FRAMES, frame_steps
from std_daq.packets.pcap.reader import Datagram, PcapReader, is_pcap

_STEPS_A_CHUNK = 1024
# A frame of the largest detectors has tens of MB; this limit bounds the memory if the frame numbers make no sense.
_MAX_FRAME_BYTES = 256 << 20


class CaptureSource:
    """Frames from several capture files; all ports send a frame, in turns, before any port sends the next frame.

    Parameters
    ----------
    captures
        Capture file of each port.
    key
        Header field of the frame number.

    Attributes
    ----------
    n_frames
        Number of frames in the captures.
    damages
        What is damaged in the captures, as texts; everything healthy is sent.
    """

    def __init__(self, captures: Mapping[int, CaptureReader], key: HeaderField) -> None:
        self._captures = captures
        self.damages = [damage for capture in captures.values() for damage in capture.damages]
        columns = [capture.columns(key.offset, key.width) for capture in captures.values()]
        self._steps, self.n_frames = frame_steps([read_field(key, raw) for raw in columns])

    def frames(self) -> Iterator[list[Burst]]:
        """Yield the bursts of each frame, frame by frame."""
        for chunk in range(0, self.n_frames, _STEPS_A_CHUNK):
            wanted = np.arange(chunk, min(chunk + _STEPS_A_CHUNK, self.n_frames) + 1)
            edges = [np.searchsorted(steps, wanted) for steps in self._steps]
            for i in range(len(wanted) - 1):
                yield self._bursts([(int(edge[i]), int(edge[i + 1])) for edge in edges])

    def _bursts(self, ranges: Sequence[tuple[int, int]]) -> list[Burst]:
        return take_turns(
            cut(Burst(port, capture.data, capture.offsets[start:stop], capture.lengths[start:stop]))
            for (port, capture), (start, stop) in zip(self._captures.items(), ranges, strict=True)
        )


class PcapSource:
    """Frames from pcap files, with the datagrams in the order in which they were captured.

    Parameters
    ----------
    readers
        Readers of the files, which are read one after the other.
    key
        Header field of the frame number.

    Attributes
    ----------
    damages
        What was found damaged so far, as texts; everything healthy is sent.
    """

    def __init__(self, readers: Sequence[PcapReader], key: HeaderField) -> None:
        self._readers = readers
        self._key = key
        self.damages: list[str] = []

    def frames(self) -> Iterator[list[Burst]]:
        """Yield the bursts of each frame, frame by frame; a late packet goes with the frame during which it came.

        Raises
        ------
        CaptureError
            No file has a datagram to one of the detector's ports.
        """
        waiting: list[Datagram] = []
        n_waiting = 0
        highest: int | None = None
        for datagram in self._datagrams():
            frame = self._frame(datagram)
            is_next = highest is None or frame > highest or highest - frame >= RESTART_FRAMES
            if waiting and (is_next or n_waiting > _MAX_FRAME_BYTES):
                yield _bursts_of(waiting)
                waiting, n_waiting = [], 0
            highest = frame if is_next else highest
            waiting.append(datagram)
            n_waiting += len(datagram.payload)
        if not waiting:
            raise CaptureError(
                "; ".join([f"{self._readers[0].path}: no datagrams to the detector's ports", *self.damages])
            )
        yield _bursts_of(waiting)

    def _datagrams(self) -> Iterator[Datagram]:
        for reader in self._readers:
            try:
                yield from reader
            except CaptureError as error:
                self.damages.append(str(error))
            self.damages += reader.damages

    def _frame(self, datagram: Datagram) -> int:
        raw = datagram.payload[self._key.offset : self._key.offset + self._key.width].ljust(self._key.width, b"\0")
        return int(read_field(self._key, np.frombuffer(raw, np.uint8)[np.newaxis])[0])


def open_source(paths: Sequence[Path], ports: Collection[int], key: HeaderField) -> CaptureSource | PcapSource:
    """Open captures for a replay: either pcap files, or files of single ports with the port in their names.

    Parameters
    ----------
    paths
        Paths of the files, at least one and all of the same kind.
    ports
        UDP ports of the detector; datagrams to other ports in a pcap file are left out.
    key
        Header field of the frame number.

    Raises
    ------
    CaptureError
        A file cannot be read, its name is not a port of the detector, the files are of different kinds, or none of them
        has a datagram. Files that are damaged are sent as far as they are healthy.
    """
    empty = [path for path in paths if is_empty(path)]
    are_pcap = {is_pcap(path) for path in paths if path not in empty}
    if are_pcap == {True}:
        source = PcapSource([PcapReader(path, ports) for path in paths if path not in empty], key)
        source.damages += [f"{path}: the file is empty" for path in empty]
        return source
    if are_pcap not in ({False}, set()):
        raise CaptureError("the files are of two kinds: replay pcap files or files of single ports, not both at once")
    captures: dict[int, CaptureReader] = {}
    for path in sorted(paths, key=port_of):
        port = port_of(path)
        if port not in ports:
            raise CaptureError(f"{path}: {port} is no port of this detector ({min(ports)} to {max(ports)})")
        if port in captures:
            raise CaptureError(f"{path}: a second capture of port {port}, after {captures[port].path}")
        captures[port] = CaptureReader(path)
    if not any(map(len, captures.values())):
        raise CaptureError("; ".join(damage for capture in captures.values() for damage in capture.damages))
    return CaptureSource(captures, key)


def _bursts_of(datagrams: list[Datagram]) -> list[Burst]:
    """Join consecutive datagrams to the same port into bursts."""
    bursts = []
    first = 0
    for i in range(1, len(datagrams) + 1):
        if i == len(datagrams) or datagrams[i].port != datagrams[first].port or i - first == BURST_PACKETS:
            bursts.append(_burst_of(datagrams[first:i]))
            first = i
    return bursts


def _burst_of(datagrams: list[Datagram]) -> Burst:
    lengths = np.array([len(datagram.payload) for datagram in datagrams], np.int64)
    buffer = np.frombuffer(b"".join(datagram.payload for datagram in datagrams), np.uint8)
    return Burst(datagrams[0].port, buffer, np.cumsum(lengths) - lengths, lengths)
