"""Places: who has to go when more peers have connected than there are places for.

Example: 300 connections of one host say nothing, and a receiver of another host connects. A connection of the first
host ends, and the receiver has its place. Peers that are served keep their places as long as any other peer can go.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class Peer(Protocol):
    """A connection that has a place.

    Attributes
    ----------
    host
        Where the peer is: an address, or a user of this machine.
    is_served
        Whether the peer has shown that it is one of those for whom the service is there.
    connected_at
        Time of the connection, in monotonic seconds.
    """

    host: str
    is_served: bool
    connected_at: float


AnyPeer = TypeVar("AnyPeer", bound=Peer)


def first_to_go(peers: Iterable[AnyPeer], newcomer: AnyPeer | None = None) -> AnyPeer:
    """Return the peer that has to go, so that another one has a place.

    A peer that is not served goes first: of those, the longest connected of the host that has most. If all are served,
    a served one goes, the last that came of the host that has most of them. It goes only for a newcomer of a host that
    has fewer; otherwise the newcomer itself goes.

    Parameters
    ----------
    peers
        All peers but the newcomer; at least one.
    newcomer
        The peer that has just connected; None if that peer is not known yet.
    """
    all_of_them = list(peers)
    waiting = [peer for peer in all_of_them if not peer.is_served]
    if waiting:
        return min(_of_crowded_host(waiting), key=lambda peer: peer.connected_at)
    crowd = _of_crowded_host(all_of_them)
    if newcomer is not None and sum(peer.host == newcomer.host for peer in all_of_them) + 1 >= len(crowd):
        return newcomer
    return max(crowd, key=lambda peer: peer.connected_at)


def _of_crowded_host(peers: Sequence[AnyPeer]) -> list[AnyPeer]:
    """Return the peers of the host that has most; of two such hosts, the one whose peer was there first."""
    host, _ = Counter(peer.host for peer in peers).most_common(1)[0]
    return [peer for peer in peers if peer.host == host]
