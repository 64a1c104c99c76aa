"""TlsTransport: a transport with TLS; it encrypts from the caller's memory, and decrypts into the caller's memory.

The `ssl` module could read and write the socket itself, but this takes three system calls per record of 16 KiB. This
module reads and writes the socket in larger pieces, through a buffer. This costs a copy, but saves more time (figures
in decision 0031).
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

from std_daq.streams.tcp.framing import GREETING
from std_daq.streams.tcp.tls_failures import explain_tls_failure
from std_daq.streams.tcp.transport import set_low_water_mark

MAX_RECORD_BYTES = 2**14 + 256 + 5
"""Largest size of a TLS record: its content, the bytes that encryption may add, and its header."""
MAX_RECORDS = 2**24
"""Limit of records for one connection, below the limit that RFC 8446 (5.5) sets for keys of AES-GCM."""
# Number of bytes to encrypt before they are sent: a larger batch would not stay in the cache of the processor.
_BATCH_BYTES = 2**18
# Shorter parts are combined into one record.
_SHORT_BYTES = 2**12


class TlsTransport:
    """TLS over a socket; each call continues the handshake until it is complete.

    Parameters
    ----------
    connection
        A non-blocking socket.
    context
        Context with the certificate to present and the certificates to trust.
    server_name
        On the connecting side: the name for which the certificate of the peer must be valid. None on the listening
        side.
    buffer_bytes
        Number of bytes to read from the socket at once.
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
        """Whether encrypted bytes wait until the network accepts them."""
        return bool(self._unsent) or self._leaving.pending > 0

    @property
    def peer_name(self) -> str:
        """Common name in the certificate of the peer; empty until the handshake is complete."""
        shown: Any = self._tls.getpeercert() if self.is_open else None
        if shown is None:
            return ""
        return ", ".join(value for part in shown["subject"] for key, value in part if key == "commonName")

    def receive_into(self, memory: memoryview, spare: memoryview) -> int:  # noqa: ARG002 - further bytes stay in the TLS buffer
        """Decrypt the bytes that have arrived into memory."""
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
                    break  # the next call raises it again
                return self._end(error)
            if not n:
                break
            n_bytes += int(n)
            self._n_records += 1
        if self._n_records > MAX_RECORDS:
            raise ConnectionError("its keys have been used for as long as is safe: the next connection has new ones")
        return n_bytes

    def send(self, parts: Iterable[bytes | memoryview]) -> int:
        """Encrypt and send a batch of bytes; raises BlockingIOError while the network has not accepted the last one."""
        self._shake_hands()
        if not self._flush():
            raise BlockingIOError
        n_bytes = self._encrypt(parts)
        self._flush()
        return n_bytes

    def wake_up_for(self, n_bytes: int) -> None:
        """Set the low-water mark of the socket, less one record, which may already be in the TLS buffer."""
        set_low_water_mark(self._socket, max(1, n_bytes - MAX_RECORD_BYTES))

    def _encrypt(self, parts: Iterable[bytes | memoryview]) -> int:
        """Encrypt a batch from the first parts, and combine short parts; returns the number of bytes encrypted."""
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
        """Encrypt a piece until the batch is full; returns the number of bytes encrypted."""
        view = memoryview(piece)
        n_bytes = 0
        while n_bytes < len(view) and self._leaving.pending < _BATCH_BYTES:
            n_bytes += self._tls.write(view[n_bytes : n_bytes + _BATCH_BYTES - self._leaving.pending])
        return n_bytes

    def _shake_hands(self) -> None:
        """Continue the handshake; raises BlockingIOError while it waits for the peer."""
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
                    raise ValueError("the peer ended the connection in the TLS handshake") from None
                raise ValueError(self._explain(error)) from None

    def _end(self, error: ssl.SSLError) -> int:
        """Return 0 if the error means that the peer has ended the connection; raises ValueError for other errors."""
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return 0
        self._flush()
        raise ValueError(self._explain(error)) from None

    def _explain(self, error: ssl.SSLError) -> str:
        if self._beginning and GREETING.startswith(self._beginning):
            return "the peer has no certificates, and this side has: use TLS (tls) on both sides or on neither"
        return explain_tls_failure(error)

    def _fetch(self) -> None:
        """Read from the socket into the TLS buffer."""
        n = self._socket.recv_into(self._buffer)
        if n == 0:
            self._arrived.write_eof()
            return
        if not self._beginning:
            self._beginning = bytes(self._buffer[: min(n, len(GREETING))])
        self._arrived.write(self._buffer[:n])

    def _flush(self) -> bool:
        """Send the encrypted bytes; returns whether the network has accepted all of them."""
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
