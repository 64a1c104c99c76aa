"""Replication: what a sender of one server and a receiver on another tell each other about images.

Every message is one ZMQ part and begins with eight characters for its kind. The receiver speaks first:

``hello``
    `HELLO`: who it is, which share of the images it wants, where to begin, and how many it can take.
``ack``
    `ACK`: what it has published. Also sent without news, so that the sender knows that it lives.
``bye``
    Nothing else; also sent by the sender: this session is over.

The sender answers:

``welcome``
    `WELCOME`: what the images look like; once for each ring that it reads from.
``notes``
    The notes of its ring as JSON, behind the kind: before the first image that they are about.
``image``
    `IMAGE`, then the missing packets of each module (u32), then the pixels; or, where ``n_chunks`` is not 0, only the
    first two, and the pixels in the ``n_chunks`` messages that follow, which are nothing but pixels.
``checked``
    `CHECKED`, then the sequence numbers (u64) of those images that were overwritten while they were sent. Pixels go
    out of the ring's memory as it is when the network takes them; only afterwards it is known whether they were whole.
``lost``
    ImageMetadata of images that had left the ring.
``position``
    `POSITION`: how far the sender has come. Also sent without news, so that the receiver knows that it lives.
``refused``
    The reason as text, behind the kind.
``unknown``
    There is no such session (any more): say hello.

Entries of a session, images and lost ones, come in ascending order of their sequence. A receiver publishes an image
when it has been checked, and everything before it is published.
"""

import json
import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA

REPLICATION_VERSION = 1
KIND_BYTES = 8
NAME_BYTES = 64
CHUNK_BYTES = 2**20
MAX_INLINE_BYTES = 2**16
"""Pixels of an image up to this size go in the message of their metadata; a copy costs less than another message."""
MAX_MESSAGE_BYTES = 2 * CHUNK_BYTES
LARGEST_NOTES_BYTES = 2**14
MAX_LOST = 1024
"""Lost images in one message."""
_SEQUENCE_END = 2**63 - 1  # the number after the last one has to fit as well

_KIND = ("kind", f"S{KIND_BYTES}")
HELLO = np.dtype(
    [
        _KIND,
        ("version", "<u4"),
        ("credit", "<u4"),
        ("share_index", "<u4"),
        ("share_of", "<u4"),
        ("ring", "<u8"),
        ("next_sequence", "<u8"),
        ("start", "<u4"),
        ("padding", "V4"),
        ("detector_name", f"S{NAME_BYTES}"),
        ("receiver_name", f"S{NAME_BYTES}"),
    ]
)
ACK = np.dtype([_KIND, ("n_finished", "<u8"), ("ring", "<u8"), ("next_sequence", "<u8")])
WELCOME = np.dtype(
    [
        _KIND,
        ("version", "<u4"),
        ("n_modules", "<u4"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("dtype", "<u2"),
        ("padding", "V6"),
        ("n_slots", "<u8"),
        ("ring", "<u8"),
        ("next_sequence", "<u8"),
    ]
)
IMAGE = np.dtype([_KIND, ("metadata", IMAGE_METADATA), ("n_chunks", "<u4"), ("chunk_bytes", "<u4")])
CHECKED = np.dtype([_KIND, ("next_sequence", "<u8")])
POSITION = np.dtype([_KIND, ("next_sequence", "<u8"), ("n_waiting", "<u8"), ("n_unnamed", "<u8")])
SIZES = {HELLO: 176, ACK: 32, WELCOME: 56, IMAGE: 144, CHECKED: 16, POSITION: 32}
assert all(layout.itemsize == size for layout, size in SIZES.items())  # noqa: S101
# The same as IMAGE, for what is done for every image: height, width, dtype, sequence, n_chunks, chunk_bytes.
_IMAGE_FIELDS = struct.Struct("<24xQQH22xQ64xII")
_CHUNKS = struct.Struct("<II")
_METADATA_END = KIND_BYTES + IMAGE_METADATA.itemsize
assert _IMAGE_FIELDS.size == IMAGE.itemsize  # noqa: S101


class Kind(StrEnum):
    """What a message is."""

    HELLO = "hello"
    ACK = "ack"
    BYE = "bye"
    WELCOME = "welcome"
    NOTES = "notes"
    IMAGE = "image"
    CHECKED = "checked"
    LOST = "lost"
    POSITION = "position"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Start(IntEnum):
    """Where a receiver begins that has nothing of the sender's ring yet."""

    OLDEST = 0
    NOW = 1


@dataclass(frozen=True, slots=True)
class Share:
    """The images with ``frame_index % of == index``.

    By frame index, which is consecutive, not by id, which may have a stride.
    """

    index: int = 0
    of: int = 1

    def part(self, index: int, of: int) -> "Share":
        """Return one of ``of`` equal parts of this share."""
        return Share(self.index + self.of * index, self.of * of)

    def select(self, entries: NDArray[Any]) -> NDArray[Any]:
        """Return the ImageMetadata that belong to the share."""
        return entries if self.of == 1 else entries[entries["frame_index"] % np.uint64(self.of) == self.index]


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a sender's journal.

    Parameters
    ----------
    ring
        When that ring was made, in ns since 1970: which ring it is. 0: nothing is known.
    sequence
        The sequence number that comes next.
    """

    ring: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """A receiver introduces itself.

    Parameters
    ----------
    detector_name, receiver_name
        At most 64 bytes each. A receiver's new session takes the place of its older one for the same share.
    share
        Which images it wants.
    point
        Where to go on.
    start
        Where to begin if the point is in no ring that is there.
    credit
        How many entries, images and lost ones, may be on their way to it.
    """

    detector_name: str
    receiver_name: str
    share: Share
    point: Point
    start: Start
    credit: int

    def encode(self) -> bytes:
        """Return the message."""
        message = _new(HELLO, Kind.HELLO)
        message["version"] = REPLICATION_VERSION
        message["credit"] = self.credit
        message["share_index"], message["share_of"] = self.share.index, self.share.of
        message["ring"], message["next_sequence"] = self.point.ring, self.point.sequence
        message["start"] = self.start
        message["detector_name"] = self.detector_name.encode()
        message["receiver_name"] = self.receiver_name.encode()
        return message.tobytes()

    @classmethod
    def decode(cls, message: bytes) -> "Hello":
        """Read the message; raises ValueError with what is wrong with it."""
        version = int.from_bytes(message[KIND_BYTES : KIND_BYTES + 4], "little")
        if version != REPLICATION_VERSION:
            raise ValueError(f"the receiver speaks version {version}, this sender {REPLICATION_VERSION}")
        hello = _parse(message, HELLO)
        share = Share(int(hello["share_index"]), int(hello["share_of"]))
        if not 0 <= share.index < share.of:
            raise ValueError(f"there is no share {share.index} of {share.of}")
        if not hello["credit"]:
            raise ValueError("a receiver without credit takes nothing")
        return cls(
            detector_name=_text(hello["detector_name"]),
            receiver_name=_text(hello["receiver_name"]),
            share=share,
            point=Point(int(hello["ring"]), int(hello["next_sequence"])),
            start=Start(int(hello["start"])),
            credit=int(hello["credit"]),
        )


@dataclass(frozen=True, slots=True)
class Ack:
    """A receiver tells what it has published.

    Parameters
    ----------
    n_finished
        Entries of this session that are published; so many more may be sent.
    point
        Where it would go on after a restart.
    """

    n_finished: int
    point: Point

    def encode(self) -> bytes:
        """Return the message."""
        message = _new(ACK, Kind.ACK)
        message["n_finished"] = self.n_finished
        message["ring"], message["next_sequence"] = self.point.ring, self.point.sequence
        return message.tobytes()

    @classmethod
    def decode(cls, message: bytes) -> "Ack":
        """Read the message; raises ValueError."""
        ack = _parse(message, ACK)
        return cls(int(ack["n_finished"]), Point(int(ack["ring"]), int(ack["next_sequence"])))


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What all images of a ring have in common: shape, code of the pixels' type, modules."""

    height: int
    width: int
    dtype: int
    n_modules: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """A sender tells of the ring that it reads from.

    Parameters
    ----------
    form
        What its images look like.
    n_slots
        How many it holds.
    point
        Where the session begins in it.
    """

    form: ImageForm
    n_slots: int
    point: Point

    def encode(self) -> bytes:
        """Return the message."""
        message = _new(WELCOME, Kind.WELCOME)
        message["version"] = REPLICATION_VERSION
        message["height"], message["width"] = self.form.height, self.form.width
        message["dtype"], message["n_modules"] = self.form.dtype, self.form.n_modules
        message["n_slots"] = self.n_slots
        message["ring"], message["next_sequence"] = self.point.ring, self.point.sequence
        return message.tobytes()

    @classmethod
    def decode(cls, message: bytes) -> "Welcome":
        """Read the message; raises ValueError."""
        welcome = _parse(message, WELCOME)
        form = ImageForm(*(int(welcome[name]) for name in ("height", "width", "dtype", "n_modules")))
        point = Point(int(welcome["ring"]), int(welcome["next_sequence"]))
        if not point.ring:
            raise ValueError("a ring that was never made")
        _check_sequences(welcome["next_sequence"])
        return cls(form, int(welcome["n_slots"]), point)


@dataclass(frozen=True, slots=True)
class ImageHead:
    """What precedes the pixels of an image.

    Parameters
    ----------
    metadata
        ImageMetadata with the sender's sequence number, (1,).
    sequence
        That number.
    missing_packets
        Of each module, (n_modules,).
    n_chunks, chunk_bytes
        Into how many messages the pixels are cut, and the size of all but the last; 0: they follow in this one.
    pixels
        The pixels where they follow in this one, else empty.
    """

    metadata: NDArray[Any]
    sequence: int
    missing_packets: NDArray[np.uint32]
    n_chunks: int
    chunk_bytes: int
    pixels: memoryview

    @property
    def is_checked(self) -> bool:
        """Whether the pixels are known to be whole: they were copied before they were sent."""
        return self.n_chunks == 0


def encode_image(
    metadata: NDArray[Any], missing_packets: NDArray[np.uint32], n_chunks: int = 0, pixels: bytes = b""
) -> bytes:
    """Return the message that begins an image; with its pixels, or with the number of messages that they follow in."""
    return join_image(metadata.tobytes(), missing_packets.astype("<u4").tobytes(), n_chunks, pixels)


def join_image(metadata: bytes, missing_packets: bytes, n_chunks: int = 0, pixels: bytes = b"") -> bytes:
    """Return what `encode_image` does, of metadata and missing packets as the bytes that lie in the ring."""
    chunk_bytes = CHUNK_BYTES if n_chunks else 0
    return b"".join((_IMAGE_KIND, metadata, _CHUNKS.pack(n_chunks, chunk_bytes), missing_packets, pixels))


def decode_image(message: bytes, form: ImageForm, pixel_bytes: int) -> ImageHead:
    """Read the message that begins an image of ``pixel_bytes``; raises ValueError where it cannot be one."""
    start = IMAGE.itemsize + form.n_modules * 4
    if len(message) < start:
        raise ValueError(f"a message of {len(message)} bytes is no image, {start} are expected")
    height, width, dtype, sequence, n_chunks, chunk_bytes = _IMAGE_FIELDS.unpack_from(message)
    pixels = memoryview(message)[start:]
    if len(pixels) != (0 if n_chunks else pixel_bytes):
        raise ValueError(f"an image message with {len(pixels)} bytes of pixels")
    if n_chunks and not (n_chunks - 1) * chunk_bytes < pixel_bytes <= n_chunks * chunk_bytes:
        raise ValueError(f"{n_chunks} chunks of {chunk_bytes} bytes are no image of {pixel_bytes} bytes")
    missing = np.frombuffer(message, "<u4", form.n_modules, IMAGE.itemsize)
    if (height, width, dtype) != (form.height, form.width, form.dtype):
        raise ValueError("an image of another form than that of its ring")
    if sequence >= _SEQUENCE_END:
        raise ValueError("a sequence number that no ring comes to")
    metadata = np.frombuffer(bytearray(message[KIND_BYTES:_METADATA_END]), IMAGE_METADATA)
    return ImageHead(metadata, sequence, missing, n_chunks, chunk_bytes, pixels)


@dataclass(frozen=True, slots=True)
class Checked:
    """All images before a sequence number have left the sender, and were whole but for the torn ones.

    Parameters
    ----------
    next_sequence
        The first that is not known yet.
    torn
        Sequence numbers of those that were overwritten while they were sent.
    """

    next_sequence: int
    torn: frozenset[int]

    def encode(self) -> bytes:
        """Return the message."""
        message = _new(CHECKED, Kind.CHECKED)
        message["next_sequence"] = self.next_sequence
        return message.tobytes() + np.array(sorted(self.torn), "<u8").tobytes()

    @classmethod
    def decode(cls, message: bytes) -> "Checked":
        """Read the message; raises ValueError."""
        checked = _parse(message, CHECKED, is_exact=False)
        torn = _array(message[CHECKED.itemsize :], np.dtype("<u8"))
        return cls(int(checked["next_sequence"]), frozenset(torn.tolist()))


@dataclass(frozen=True, slots=True)
class Position:
    """How far a sender has come.

    Parameters
    ----------
    next_sequence
        All before it that belongs to the share has been sent or told.
    n_waiting
        Entries that wait to be sent.
    n_unnamed
        Entries of the journal that were gone before they were read, in this session: nobody can name them.
    """

    next_sequence: int
    n_waiting: int
    n_unnamed: int

    def encode(self) -> bytes:
        """Return the message."""
        message = _new(POSITION, Kind.POSITION)
        message["next_sequence"] = self.next_sequence
        message["n_waiting"], message["n_unnamed"] = self.n_waiting, self.n_unnamed
        return message.tobytes()

    @classmethod
    def decode(cls, message: bytes) -> "Position":
        """Read the message; raises ValueError."""
        position = _parse(message, POSITION)
        _check_sequences(position["next_sequence"])
        return cls(*(int(position[name]) for name in ("next_sequence", "n_waiting", "n_unnamed")))


def encode_lost(entries: NDArray[Any]) -> bytes:
    """Return the message that names lost images, ImageMetadata of shape (n,)."""
    return encode_kind(Kind.LOST) + entries.tobytes()


def decode_lost(message: bytes) -> NDArray[Any]:
    """Read which images are lost, as ImageMetadata of shape (n,); raises ValueError."""
    entries = _array(message[KIND_BYTES:], IMAGE_METADATA).copy()
    if not 0 < len(entries) <= MAX_LOST:
        raise ValueError(f"{len(entries)} lost images in one message")
    _check_sequences(entries["sequence"])
    return entries


def encode_notes(notes: dict[str, Any]) -> bytes:
    """Return the message with a ring's notes."""
    return encode_kind(Kind.NOTES) + json.dumps(notes).encode()


def decode_notes(message: bytes) -> dict[str, Any]:
    """Read a ring's notes; raises ValueError."""
    if len(message) > LARGEST_NOTES_BYTES:
        raise ValueError(f"notes of {len(message)} bytes")
    try:
        notes = json.loads(message[KIND_BYTES:])
    except RecursionError:
        raise ValueError("notes that are nested too deep") from None
    if not isinstance(notes, dict):
        raise ValueError("notes that are no object")
    return notes


def encode_refusal(reason: str) -> bytes:
    """Return the message that refuses a receiver."""
    return encode_kind(Kind.REFUSED) + reason.encode()


def decode_refusal(message: bytes) -> str:
    """Read why this receiver is refused."""
    return message[KIND_BYTES:].decode(errors="replace")


def encode_kind(kind: Kind) -> bytes:
    """Return a message that has nothing but a kind."""
    return kind.encode().ljust(KIND_BYTES, b"\0")


def kind_of(message: bytes) -> Kind:
    """Return what a message is; raises ValueError for none of ours."""
    kind = _KINDS.get(message[:KIND_BYTES])
    return Kind(message[:KIND_BYTES].rstrip(b"\0").decode(errors="replace")) if kind is None else kind


_KINDS = {encode_kind(kind): kind for kind in Kind}
_IMAGE_KIND = encode_kind(Kind.IMAGE)


def _new(layout: np.dtype[Any], kind: Kind) -> NDArray[Any]:
    message = np.zeros(1, layout)
    message["kind"] = kind.encode()
    return message


def _parse(message: bytes, layout: np.dtype[Any], *, is_exact: bool = True) -> Any:
    """Return the struct that a message begins with; raises ValueError where it is too short or, if so asked, longer."""
    least = layout.itemsize
    if len(message) < least or (is_exact and len(message) > least):
        raise ValueError(f"a message {kind_of(message)!r} of {len(message)} bytes, {least} are expected")
    return np.frombuffer(message, layout, 1)[0]


def _array(data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    if len(data) % dtype.itemsize:
        raise ValueError(f"{len(data)} bytes are no multiple of {dtype.itemsize}")
    return np.frombuffer(data, dtype)


def _check_sequences(sequences: NDArray[np.uint64] | np.uint64) -> None:
    """Raise ValueError for numbers that no ring comes to; there is none after the last of 64 bits."""
    if (sequences >= _SEQUENCE_END).any():
        raise ValueError("a sequence number that no ring comes to")


def _text(name: bytes) -> str:
    return bytes(name).decode(errors="replace")
