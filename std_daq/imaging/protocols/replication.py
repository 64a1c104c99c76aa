"""Replication: the messages between a sender on one server and a receiver on another, which copy images.

Each message begins with its kind, eight characters. The receiver sends:

``hello``
    `HELLO`, the first message: the receiver's name, the share of the images that it wants, where to begin, and how
    many images it can take.
``ack``
    `ACK`: how much the receiver has published. It is also sent regularly without news, as a sign of life.
``bye``
    Only the kind: the session ends. The sender may send it, too.

The sender answers:

``welcome``
    `WELCOME`: shape and type of the images; sent once for each ring that the sender reads.
``notes``
    The notes of the ring as JSON, after the kind; sent before the first image to which they apply.
``image``
    `IMAGE`, then the ModuleEntry of each module, then the pixels. If ``n_chunks`` is not 0, the
    pixels are not in this message but in the next ``n_chunks`` messages, which contain nothing else.
``checked``
    `CHECKED`, then the sequence numbers (u64) of the images that were overwritten while they were sent. The network
    reads the pixels directly from the ring's memory. Only when it has read them can the sender check that they were
    not overwritten.
``lost``
    ImageMetadata of images that had left the ring before they were sent.
``position``
    `POSITION`: how far the sender has come. It is also sent regularly without news, as a sign of life.
``refused``
    The reason as text, after the kind.
``unknown``
    The sender does not know the session (any more); the receiver must send ``hello``.

The images and lost images of a session come in ascending order of their sequence numbers. A receiver publishes an
image when the image is checked and everything before it is published.
"""

import json
import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY

REPLICATION_VERSION = 2
KIND_BYTES = 8
NAME_BYTES = 64
CHUNK_BYTES = 2**20
MAX_INLINE_BYTES = 2**16
"""Pixels up to this size are sent in the message with the metadata; copying them costs less than another message."""
MAX_MESSAGE_BYTES = 2 * CHUNK_BYTES
MAX_NOTES_BYTES = 2**14
MAX_LOST = 1024
"""Largest number of lost images in one message."""
_SEQUENCE_END = 2**63 - 1  # not included: the number after the last sequence number must fit, too

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
SIZES = {HELLO: 176, ACK: 32, WELCOME: 56, IMAGE: 208, CHECKED: 16, POSITION: 32}
assert all(layout.itemsize == size for layout, size in SIZES.items())  # noqa: S101
# Some fields of IMAGE, which are decoded for every image: height, width, dtype, sequence, n_chunks, chunk_bytes.
_IMAGE_FIELDS = struct.Struct("<24xQQH22xQ128xII")
_CHUNKS = struct.Struct("<II")
_METADATA_END = KIND_BYTES + IMAGE_METADATA.itemsize
assert _IMAGE_FIELDS.size == IMAGE.itemsize  # noqa: S101


class Kind(StrEnum):
    """Kind of a message."""

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
    """Where a receiver begins if it has nothing from the sender's ring yet."""

    OLDEST = 0
    NOW = 1


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the images: those with ``frame_index // step % of == index``; usually the step is 1.

    The frame index is used because it is consecutive. Ids may have a stride: pulse ids may be all even, and then one of
    two shares would get all images.
    """

    index: int = 0
    of: int = 1

    def part(self, index: int, of: int) -> "Share":
        """Return one of ``of`` equal parts of this share."""
        return Share(self.index + self.of * index, self.of * of)

    def select(self, entries: NDArray[Any], frame_index_step: int = 1) -> NDArray[Any]:
        """Return those ImageMetadata that belong to the share of a ring whose images have this step between them."""
        if self.of == 1:
            return entries
        in_share = entries["frame_index"] // np.uint64(frame_index_step) % np.uint64(self.of) == self.index
        selected: NDArray[Any] = entries[in_share]
        return selected


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a sender's journal.

    Parameters
    ----------
    ring
        Time at which the ring was created, in ns since 1970, which identifies the ring. 0: no ring is known.
    sequence
        Sequence number of the next entry.
    """

    ring: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a receiver, which opens a session.

    Parameters
    ----------
    detector_name, receiver_name
        Names of at most 64 bytes each. A new session of a receiver replaces its older session for the same share.
    share
        Share of the images that the receiver wants.
    point
        Where the receiver continues.
    start
        Where to begin if the ring of the point does not exist any more.
    credit
        Largest number of entries, images and lost images, that may be on their way to the receiver.
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
        """Decode the message; raises ValueError that says what is wrong."""
        version = int.from_bytes(message[KIND_BYTES : KIND_BYTES + 4], "little")
        if version != REPLICATION_VERSION:
            raise ValueError(f"the receiver speaks version {version}, this sender version {REPLICATION_VERSION}")
        hello = _parse(message, HELLO)
        share = Share(int(hello["share_index"]), int(hello["share_of"]))
        if not 0 <= share.index < share.of:
            raise ValueError(f"there is no share {share.index} of {share.of}")
        if not hello["credit"]:
            raise ValueError("a receiver must give credit for at least one entry")
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
    """Acknowledgement of a receiver.

    Parameters
    ----------
    n_finished
        Number of entries of this session that are published; this many further entries may be sent.
    point
        Where the receiver would continue after a restart.
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
    """Properties that all images of a ring have in common: shape, code of the pixel type, number of modules."""

    height: int
    width: int
    dtype: int
    n_modules: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """Description of the ring that a sender reads.

    Parameters
    ----------
    form
        Form of the ring's images.
    n_slots
        Number of images that the ring holds.
    point
        Where the session begins in the ring.
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
            raise ValueError("the message names no ring")
        _check_sequences(welcome["next_sequence"])
        return cls(form, int(welcome["n_slots"]), point)


@dataclass(frozen=True, slots=True)
class ImageHead:
    """First message of an image, which precedes its pixels or contains them.

    Parameters
    ----------
    metadata
        ImageMetadata with the sender's sequence number, (1,).
    sequence
        The sender's sequence number.
    modules
        ModuleEntry of each module, (n_modules,).
    n_chunks, chunk_bytes
        Number of messages with pixels that follow, and the size of all of them but the last. 0: no messages follow,
        because the pixels are in this message.
    pixels
        Pixels if they are in this message, otherwise empty.
    """

    metadata: NDArray[Any]
    sequence: int
    modules: NDArray[Any]
    n_chunks: int
    chunk_bytes: int
    pixels: memoryview

    @property
    def is_checked(self) -> bool:
        """Whether the pixels need no further check, because they were copied before they were sent."""
        return self.n_chunks == 0


def encode_image(metadata: NDArray[Any], modules: NDArray[Any], n_chunks: int = 0, pixels: bytes = b"") -> bytes:
    """Return the first message of an image, with its pixels or with the number of messages in which they follow."""
    return join_image(metadata.tobytes(), modules.tobytes(), n_chunks, pixels)


def join_image(metadata: bytes, modules: bytes, n_chunks: int = 0, pixels: bytes = b"") -> bytes:
    """Return the same message as `encode_image`, from metadata and modules in bytes as they are in the ring."""
    chunk_bytes = CHUNK_BYTES if n_chunks else 0
    return b"".join((_IMAGE_KIND, metadata, _CHUNKS.pack(n_chunks, chunk_bytes), modules, pixels))


def decode_image(message: bytes, form: ImageForm, pixel_bytes: int) -> ImageHead:
    """Decode the first message of an image with ``pixel_bytes`` of pixels; raises ValueError if it is not valid."""
    start = IMAGE.itemsize + form.n_modules * MODULE_ENTRY.itemsize
    if len(message) < start:
        raise ValueError(f"a message of {len(message)} bytes is too short for an image; at least {start} are expected")
    height, width, dtype, sequence, n_chunks, chunk_bytes = _IMAGE_FIELDS.unpack_from(message)
    pixels = memoryview(message)[start:]
    if len(pixels) != (0 if n_chunks else pixel_bytes):
        raise ValueError(f"an image message must not have {len(pixels)} bytes of pixels")
    if n_chunks and not (n_chunks - 1) * chunk_bytes < pixel_bytes <= n_chunks * chunk_bytes:
        raise ValueError(f"{n_chunks} chunks of {chunk_bytes} bytes do not make an image of {pixel_bytes} bytes")
    modules = np.frombuffer(message, MODULE_ENTRY, form.n_modules, IMAGE.itemsize)
    if (height, width, dtype) != (form.height, form.width, form.dtype):
        raise ValueError("an image has another form than its ring")
    if sequence >= _SEQUENCE_END:
        raise ValueError("a sequence number is larger than any that a ring reaches")
    metadata = np.frombuffer(bytearray(message[KIND_BYTES:_METADATA_END]), IMAGE_METADATA)
    return ImageHead(metadata, sequence, modules, n_chunks, chunk_bytes, pixels)


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of the sender's check: which images were overwritten while they were sent.

    Parameters
    ----------
    next_sequence
        All images before this sequence number have been sent and checked.
    torn
        Sequence numbers of the images before it that were overwritten while they were sent.
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
        All images of the share before this sequence number have been sent or reported as lost.
    n_waiting
        Number of entries that wait to be sent.
    n_unnamed
        Number of journal entries in this session that were gone before the sender read them; their ids are unknown.
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
    """Return the message that names lost images, from their ImageMetadata of shape (n,)."""
    return encode_kind(Kind.LOST) + entries.tobytes()


def decode_lost(message: bytes) -> NDArray[Any]:
    """Decode a message that names lost images, to ImageMetadata of shape (n,); raises ValueError."""
    entries = _array(message[KIND_BYTES:], IMAGE_METADATA).copy()
    if not 0 < len(entries) <= MAX_LOST:
        raise ValueError(f"a message cannot name {len(entries)} lost images")
    _check_sequences(entries["sequence"])
    return entries


def encode_notes(notes: dict[str, Any]) -> bytes:
    """Return the message with the notes of a ring."""
    return encode_kind(Kind.NOTES) + json.dumps(notes).encode()


def decode_notes(message: bytes) -> dict[str, Any]:
    """Decode the notes of a ring; raises ValueError."""
    if len(message) > MAX_NOTES_BYTES:
        raise ValueError(f"notes of {len(message)} bytes are too long")
    try:
        notes = json.loads(message[KIND_BYTES:])
    except RecursionError:
        raise ValueError("notes are nested too deeply") from None
    if not isinstance(notes, dict):
        raise ValueError("notes must be a JSON object")
    return notes


def encode_refusal(reason: str) -> bytes:
    """Return the message that refuses a receiver."""
    return encode_kind(Kind.REFUSED) + reason.encode()


def decode_refusal(message: bytes) -> str:
    """Decode the reason why this receiver is refused."""
    return message[KIND_BYTES:].decode(errors="replace")


def encode_kind(kind: Kind) -> bytes:
    """Return a message that consists of its kind only."""
    return kind.encode().ljust(KIND_BYTES, b"\0")


def kind_of(message: bytes) -> Kind:
    """Return the kind of a message; raises ValueError if it is unknown."""
    kind = _KINDS.get(message[:KIND_BYTES])
    return Kind(message[:KIND_BYTES].rstrip(b"\0").decode(errors="replace")) if kind is None else kind


_KINDS = {encode_kind(kind): kind for kind in Kind}
_IMAGE_KIND = encode_kind(Kind.IMAGE)


def _new(layout: np.dtype[Any], kind: Kind) -> NDArray[Any]:
    message = np.zeros(1, layout)
    message["kind"] = kind.encode()
    return message


def _parse(message: bytes, layout: np.dtype[Any], *, is_exact: bool = True) -> Any:
    """Return the struct at the start of a message.

    Raises ValueError if the message is too short, or longer although ``is_exact``.
    """
    least = layout.itemsize
    if len(message) < least or (is_exact and len(message) > least):
        raise ValueError(f"a message {kind_of(message)!r} has {len(message)} bytes; {least} are expected")
    return np.frombuffer(message, layout, 1)[0]


def _array(data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    if len(data) % dtype.itemsize:
        raise ValueError(f"{len(data)} bytes are not a multiple of {dtype.itemsize}")
    return np.frombuffer(data, dtype)


def _check_sequences(sequences: NDArray[np.uint64] | np.uint64) -> None:
    """Raise ValueError for sequence numbers that no ring reaches and that could overflow."""
    if (sequences >= _SEQUENCE_END).any():
        raise ValueError("a sequence number is larger than any that a ring reaches")


def _text(name: bytes) -> str:
    return bytes(name).decode(errors="replace")
