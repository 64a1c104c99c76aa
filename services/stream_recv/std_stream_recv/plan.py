"""LinkPlan: settings of each link, from the configuration."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from std_daq.errors import ConfigError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig, ReceiverConfig
from std_daq.imaging.protocols.image_metadata import dtype_code
from std_daq.imaging.protocols.replication import Hello, ImageForm, Point, Share, Start

MAX_CREDIT = 1024
_STARTS = {"oldest": Start.OLDEST, "now": Start.NOW}


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """Settings of a link, the same for all its sessions.

    Parameters
    ----------
    source
        Index of the link.
    addresses
        Addresses of the senders in the order of attempts; if one does not answer, the next is tried.
    hello
        First message of a session, with the share and credit of this link; its point is set for each session.
    form
        Shape and type of the images in this server's ring.
    n_slots
        Number of slots of this server's ring.
    timeout_s
        The session fails if the sender is silent for this time, in seconds.
    """

    source: int
    addresses: Sequence[str]
    hello: Hello
    form: ImageForm
    n_slots: int
    timeout_s: float


def credit_of(config: DetectorConfig, wanted: ReceiverConfig, n_slots: int) -> int:
    """Return how many images of each source may be in flight.

    Raises
    ------
    ConfigError
        The ring, or the credit, is too small for this number of sources.
    """
    n_sources = len(wanted.sources)
    # Images on their way already occupy their slots. At most half of the ring is for them; the other half is for
    # readers.
    credit = min(wanted.credit_images or MAX_CREDIT, n_slots // 2) // n_sources
    if credit < 1:
        raise ConfigError(
            f"{n_sources} sources need credit for as many images, and a ring with twice as many slots",
            key="replication.receive.credit_images" if wanted.credit_images else "ram_buffer_gb",
            value=wanted.credit_images or config.ram_buffer_gb,
            remedy=f"the ring has {n_slots} slots",
        )
    return credit


def make_plans(config: DetectorConfig, wanted: ReceiverConfig, ring: ImageBuffer) -> list[LinkPlan]:
    """Return the plan of each link: each source gets an equal part of this receiver's share and credit.

    Raises
    ------
    ConfigError
        The ring, or the credit, is too small for this number of sources.
    """
    n_sources = len(wanted.sources)
    credit = credit_of(config, wanted, ring.n_slots)
    share = Share(wanted.share_index, wanted.share_of)
    return [
        LinkPlan(
            source=source,
            addresses=[*wanted.sources[source:], *wanted.sources[:source]],
            hello=Hello(
                detector_name=config.name,
                receiver_name=wanted.name or socket.gethostname(),
                share=share.part(source, n_sources),
                point=Point(),
                start=_STARTS[wanted.start],
                credit=credit,
            ),
            form=ImageForm(*ring.shape, dtype_code(ring.dtype), ring.n_modules),
            n_slots=ring.n_slots,
            timeout_s=config.replication.timeout_s,
        )
        for source in range(n_sources)
    ]
