"""The limit of open files and connections of a process."""

import resource

WANTED = 65_536
# Each ZMQ socket may be a thousand connections ahead of whoever limits them (`zmq_places`).
MIN_SAFE = 4096
# Of the files that a process may open, the part that the peers of one socket may have.
_PART_OF_PEERS = 8


def raise_limit(wanted: int = WANTED) -> int:
    """Let this process open as many files as it may, at most ``wanted``; returns how many it can open now.

    The usual limit is 1024. A process that cannot open another file cannot accept a connection either, and ZMQ ends
    the process in some of these cases.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        return possible
    return soft if soft != resource.RLIM_INFINITY else wanted


def most_peers(wanted: int) -> int:
    """Return how many peers one socket may have: at most ``wanted``, and an eighth of what the process can open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft // _PART_OF_PEERS))
