"""Makes UBX messages, and finds them in what a receiver sends; NMEA and RTCM between them are skipped. Pure."""

from dataclasses import dataclass

SYNC = b"\xb5\x62"
N_OVERHEAD_BYTES = 8
MAX_PAYLOAD_BYTES = 8192
"""Longest payload that is believed; the longest of a ZED-F9T has about 2 kB. Damaged lengths are mostly larger."""
_N_HEADER_BYTES = 6
_N_CHECKSUM_BYTES = 2
_NMEA_START = ord("$")
_MAX_NMEA_BYTES = 256
_RTCM_START = 0xD3
_RTCM_RESERVED = 0xFC
_N_RTCM_OVERHEAD_BYTES = 6
_CRC24Q = 0x1864CFB


def make_message(class_id: int, message_id: int, payload: bytes = b"") -> bytes:
    """Return a whole UBX message."""
    body = bytes((class_id, message_id)) + len(payload).to_bytes(2, "little") + payload
    return SYNC + body + checksum(body)


def checksum(body: bytes) -> bytes:
    """Return the checksum (8-bit Fletcher) of class to payload."""
    first = second = 0
    for byte in body:
        first = first + byte & 0xFF
        second = second + first & 0xFF
    return bytes((first, second))


@dataclass(slots=True)
class FramerCounters:
    """What has come between the UBX messages.

    Parameters
    ----------
    nmea
        NMEA sentences.
    rtcm
        RTCM 3 messages.
    damaged
        UBX messages with a wrong checksum or length, or that were cut.
    skipped_bytes
        Bytes that belong to no message.
    """

    nmea: int = 0
    rtcm: int = 0
    damaged: int = 0
    skipped_bytes: int = 0


class Framer:
    """Cuts what a receiver sends into UBX messages.

    A piece that only looks like the beginning of a message holds the following ones up until it has its length. Whoever
    reads calls `give_up` if a piece takes too long.

    Parameters
    ----------
    counters
        What is counted on; by default new ones.
    """

    def __init__(self, counters: FramerCounters | None = None) -> None:
        self._buffer = bytearray()
        self.n_taken_bytes = 0
        self.counters = FramerCounters() if counters is None else counters

    @property
    def is_waiting(self) -> bool:
        """Whether there is a piece whose end has not come yet; it begins after ``n_taken_bytes``."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in, and return the whole messages that they complete."""
        self._buffer += data
        return self._take(0)

    def give_up(self) -> list[bytes]:
        """Give up the piece whose end does not come, and return the whole messages that began within it."""
        self.counters.damaged += self._buffer.startswith(SYNC)
        return self._take(self._skip())

    def _take(self, position: int) -> list[bytes]:
        messages: list[bytes] = []
        while position < len(self._buffer):
            n_bytes, message = self._next(position)
            if n_bytes == 0:
                break
            if message is not None:
                messages.append(message)
            position += n_bytes
        del self._buffer[:position]
        self.n_taken_bytes += position
        return messages

    def _next(self, position: int) -> tuple[int, bytes | None]:
        """Return the length of what begins here, 0 if it is not complete, and the message if it is one."""
        first = self._buffer[position]
        if first == SYNC[0]:
            return self._ubx(position)
        if first == _RTCM_START:
            return self._rtcm(position), None
        if first == _NMEA_START:
            return self._nmea(position), None
        return self._skip(), None

    def _ubx(self, position: int) -> tuple[int, bytes | None]:
        buffer = self._buffer
        n_bytes = len(buffer) - position
        if n_bytes >= len(SYNC) and buffer[position + 1] != SYNC[1]:
            return self._skip(), None
        if n_bytes < _N_HEADER_BYTES:
            return 0, None
        n_payload = int.from_bytes(buffer[position + 4 : position + 6], "little")
        if n_payload > MAX_PAYLOAD_BYTES:
            self.counters.damaged += 1
            return self._skip(), None
        end = position + n_payload + N_OVERHEAD_BYTES
        if len(buffer) < end:
            return 0, None
        message = bytes(buffer[position:end])
        if checksum(message[2:-_N_CHECKSUM_BYTES]) == message[-_N_CHECKSUM_BYTES:]:
            return len(message), message
        self.counters.damaged += 1
        return self._skip(), None

    def _rtcm(self, position: int) -> int:
        buffer = self._buffer
        if len(buffer) < position + 3:
            return 0
        if buffer[position + 1] & _RTCM_RESERVED:
            return self._skip()
        n_payload = int.from_bytes(buffer[position + 1 : position + 3], "big")
        end = position + n_payload + _N_RTCM_OVERHEAD_BYTES
        if len(buffer) < end:
            return 0
        if crc24q(bytes(buffer[position:end])):
            return self._skip()
        self.counters.rtcm += 1
        return end - position

    def _nmea(self, position: int) -> int:
        """Return the length of a sentence; any byte that is no text ends it, for then it is none."""
        for end in range(position + 1, min(len(self._buffer), position + _MAX_NMEA_BYTES)):
            byte = self._buffer[end]
            if byte == ord("\n"):
                self.counters.nmea += 1
                return end + 1 - position
            if byte != ord("\r") and not 0x20 <= byte < 0x7F:
                return self._skip()
        return 0 if len(self._buffer) < position + _MAX_NMEA_BYTES else self._skip()

    def _skip(self) -> int:
        self.counters.skipped_bytes += 1
        return 1


def crc24q(data: bytes) -> int:
    """Return the checksum of RTCM 3; it is 0 for a message together with its checksum."""
    crc = 0
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= _CRC24Q
    return crc
