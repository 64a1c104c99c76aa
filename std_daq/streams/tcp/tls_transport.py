"""TlsTransport: bytes through TLS, encrypted out of the memory they lie in, decrypted into where they are wanted.

Python's `ssl` could read from the socket and write to it by itself, but that takes the system three calls for each
record of 16 KiB. Here the socket is read and written in larger pieces, through memory in between. That costs a copy and
saves more (figures in decision 0031).
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

from std_daq.streams.tcp.framing import GREETING
from std_daq.streams.tcp.tls_failures import explain_tls_failure
from std_daq.streams.tcp.transport import set_low_water_mark

MAX_RECORD_BYTES = 2**14 + 256 + 5
"""Of a TLS record: what it holds, what encryption may add, and its head."""
MAX_RECORDS = 2**24
"""After so many the keys of AES-GCM have been used for as long as RFC 8446 (5.5) allows, with something left over."""
# So much is encrypted before the network is given it: more would not stay in the processor's cache until then.
_BATCH_BYTES = 2**18
# Shorter parts are put together into one record.
_SHORT_BYTES = 2**12


class TlsTransport:
    """TLS over a socket: the handshake goes on with each call, until it is over.

    Parameters
    ----------
    connection
        A socket that does not block.
    context
        Which certificate is shown, and which are trusted.
    server_name
        On the side that connects: whom the peer's certificate must be for. None on the other side.
    buffer_bytes
        How much is read from the socket at once.
    """

    def __init__(
        self, connection: socket.socket, context: ssl.SSLContext, server_name: str | None, buffer_bytes: int
    ) -> None:
        self._socket = connection
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._arrived, self._leaving, server_side=server_name is None, server_hostname=server_name
        )
        self._buffer = memoryview(bytearray(buffer_bytes))
        self._unsent = memoryview(b"")
        self._beginning = b""
        self._n_records = 0
        self.is_open = False
        self.has_sent = False

    @property
    def has_unsent(self) -> bool:
        """Whether encrypted bytes wait for the network."""
        return bool(self._unsent) or self._leaving.pending > 0

    @property
    def peer_name(self) -> str:
        """Common name in the peer's certificate; empty before the handshake is over."""
        shown: Any = self._tls.getpeercert() if self.is_open else None
        if shown is None:
            return ""
        return ", ".join(value for part in shown["subject"] for key, value in part if key == "commonName")

    def receive_into(self, memory: memoryview, spare: memoryview) -> int:  # noqa: ARG002 - what is more stays here
        """Decrypt into memory what has come."""
        self._shake_hands()
        n_bytes = 0
        while n_bytes < len(memory):
            try:
                n = self._tls.read(len(memory) - n_bytes, memory[n_bytes:])
            except ssl.SSLWantReadError:
                if n_bytes:
                    break
                self._fetch()
                continue
            except ssl.SSLError as error:
                if n_bytes:
                    break  # it comes again with the next call
                return self._end(error)
            if not n:
                break
            n_bytes += int(n)
            self._n_records += 1
        if self._n_records > MAX_RECORDS:
            raise ConnectionError("its keys have been used for as long as is safe: the next connection has new ones")
        return n_bytes

    def send(self, parts: Iterable[bytes | memoryview]) -> int:
        """Encrypt a batch of bytes, once the network has taken those before."""
        self._shake_hands()
        if not self._flush():
            raise BlockingIOError
        n_bytes = self._encrypt(parts)
        self._flush()
        return n_bytes

    def wake_up_for(self, n_bytes: int) -> None:
        """Set the socket's low-water mark: up to a record may have come already, and lie here."""
        set_low_water_mark(self._socket, max(1, n_bytes - MAX_RECORD_BYTES))

    def _encrypt(self, parts: Iterable[bytes | memoryview]) -> int:
        """Encrypt a batch from the beginning of some parts, short ones together; returns of how many bytes it is."""
        short = bytearray()
        n_bytes = 0
        for part in parts:
            if len(part) <= _SHORT_BYTES and len(short) < _BATCH_BYTES:
                short += part
                continue
            for piece in (short, part):
                n = self._write(piece)
                n_bytes += n
                if n < len(piece):
                    return n_bytes
            short = bytearray()
        return n_bytes + self._write(short)

    def _write(self, piece: bytes | bytearray | memoryview) -> int:
        """Encrypt a piece up to the end of the batch; returns of how many bytes that is."""
        view = memoryview(piece)
        n_bytes = 0
        while n_bytes < len(view) and self._leaving.pending < _BATCH_BYTES:
            n_bytes += self._tls.write(view[n_bytes : n_bytes + _BATCH_BYTES - self._leaving.pending])
        return n_bytes

    def _shake_hands(self) -> None:
        """Go on with the handshake; raises BlockingIOError while it waits for the peer."""
        while not self.is_open:
            try:
                self._tls.do_handshake()
                self.is_open = True
                self._flush()
            except ssl.SSLWantReadError:
                self._flush()
                self._fetch()
            except ssl.SSLError as error:
                self._flush()  # the alert that tells the peer why
                if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                    raise ValueError("it ended the connection in the TLS handshake") from None
                raise ValueError(self._explain(error)) from None

    def _end(self, error: ssl.SSLError) -> int:
        """Return 0 where an error means that the peer has ended the connection; raises ValueError for others."""
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return 0
        self._flush()
        raise ValueError(self._explain(error)) from None

    def _explain(self, error: ssl.SSLError) -> str:
        if self._beginning and GREETING.startswith(self._beginning):
            return "it has no certificates, and this side has: give it some (tls), or take away those of this side"
        return explain_tls_failure(error)

    def _fetch(self) -> None:
        """Read from the socket."""
        n = self._socket.recv_into(self._buffer)
        if n == 0:
            self._arrived.write_eof()
            return
        if not self._beginning:
            self._beginning = bytes(self._buffer[: min(n, len(GREETING))])
        self._arrived.write(self._buffer[:n])

    def _flush(self) -> bool:
        """Give to the network what is encrypted; returns whether it has taken all of it."""
        while True:
            if not self._unsent:
                if not self._leaving.pending:
                    return True
                self._unsent = memoryview(self._leaving.read())
            try:
                n = self._socket.send(self._unsent)
            except BlockingIOError:
                return False
            self.has_sent = True
            self._unsent = self._unsent[n:]
