"""LinkPlan: what each link has to do, as the configuration says."""

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
    """What does not change from session to session.

    Parameters
    ----------
    source
        Index of the link.
    addresses
        Of the senders, the one to begin with first; the next is tried where one does not answer.
    hello
        With this link's share and credit.
    form
        What the images of this server's ring look like.
    n_slots
        How many it holds.
    timeout_s
        After this time without a word the session is given up.
    """

    source: int
    addresses: Sequence[str]
    hello: Hello
    form: ImageForm
    n_slots: int
    timeout_s: float


def make_plans(config: DetectorConfig, wanted: ReceiverConfig, ring: ImageBuffer) -> list[LinkPlan]:
    """Return the plan of each link: an equal part of this receiver's share and credit from each source.

    Raises
    ------
    ConfigError
        When the ring is too small for so many.
    """
    n_sources = len(wanted.sources)
    # What is on its way has its slots already; the other half of the ring is for the readers.
    credit = min(wanted.credit_images or MAX_CREDIT, ring.n_slots // 2) // n_sources
    if credit < 1:
        raise ConfigError(
            f"{n_sources} sources need as many images of credit, and twice as many slots in the ring",
            key="replication.receive.credit_images" if wanted.credit_images else "ram_buffer_gb",
            value=wanted.credit_images or config.ram_buffer_gb,
            remedy=f"the ring has {ring.n_slots} slots",
        )
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
