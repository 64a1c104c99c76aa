"""How much of the past is in a ring of images."""

import time
from dataclasses import dataclass

from std_daq.imaging.buffers.image_buffer import ImageBuffer


@dataclass(frozen=True, slots=True)
class RingPast:
    """The images that a ring holds.

    Parameters
    ----------
    n_slots
        Images for which it has room.
    n_images
        Images in it that can be read.
    seconds
        Time from the oldest to the newest of them; None if it holds fewer than two.
    newest_id, newest_age_s
        Id of the newest image, and how long ago it was assembled; None if there is none.
    """

    n_slots: int
    n_images: int
    seconds: float | None
    newest_id: int | None
    newest_age_s: float | None


def look_at(ring: ImageBuffer) -> RingPast:
    """Return what a ring holds at present."""
    end = ring.journal.next_sequence
    oldest = max(ring.oldest, ring.journal.oldest_sequence, 0)
    first, last = _assembled_ns(ring, oldest), _assembled_ns(ring, end - 1)
    newest = ring.view(end - 1) if end else None
    return RingPast(
        n_slots=ring.n_slots,
        n_images=max(0, end - oldest),
        seconds=None if first is None or last is None or end - oldest < 2 else max(0.0, (last - first) / 1e9),
        newest_id=None if newest is None else newest.id,
        newest_age_s=None if last is None else max(0.0, time.time() - last / 1e9),
    )


def _assembled_ns(ring: ImageBuffer, sequence: int) -> int | None:
    image = ring.view(sequence) if 0 <= sequence < ring.journal.next_sequence else None
    return None if image is None else int(image.metadata.assembled_ns) or None
