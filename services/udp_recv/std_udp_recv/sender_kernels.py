"""Senders: whose packets a port believes, by the IP address from which they come. Compiled.

A header does not tell whether a packet is the detector's: a second detector, a replay on another computer, or a
program with an error sends the same headers. The address does. There are two ways to know it:

- *configured*: ``udp.senders`` names the addresses. All others are strangers.
- *learned*: the port believes the addresses from which a frame has come, see quarantine_kernels.py. Each has to bring
  a share of the packets of this frame. So the first that speaks is not believed because it is the first.

While a believed sender is *alive*, no other takes its place, however quickly that sends. It is alive until it has
been silent for `SILENCE_NS`, and for several times as long as its frames are apart. Example: of a detector that sends
an image every 10 s, the address is kept for 30 s. Afterwards a newcomer is believed if it brings a frame. An address
that spoke while the believed sender was alive is a *stranger*; it has to wait for `STRANGER_SILENCE_NS`.

A detector may use several addresses: the interfaces of a module that send in turn, or an interface that replaces
another. Such an address is believed although others are alive, because its packets complement theirs: it brings just
what they leave out. So five times a second, a stranger's packets come into quarantine, too, as a *trial*.

If a sender that had been believed for longer speaks again, it replaces its successor at once. Example: the detector
pauses, a second detector is taken for it, and then the first one goes on.
"""

from typing import TYPE_CHECKING

from std_udp_recv.libc_kernels import compilable
from std_udp_recv.records import FIRST_IPV6, NOBODY, SILENCE_NS, SILENT_PERIODS, STRANGER_SILENCE_NS, UNNAMED

if TYPE_CHECKING:
    from std_udp_recv.port import Port

BELIEVED, NEWCOMER, ON_TRIAL, STRANGER = range(4)
"""Standing of a sender: its packets are used; are used if they bring a frame; are used if they complement those of the
believed senders; are refused."""

MAX_PERIOD_NS = 10_000_000_000
TRIAL_NS = 200_000_000
"""Time between two trials of a stranger."""
MIN_SHARE = 8
"""A sender has to bring one in this many packets of the frame for which it is believed."""


@compilable
def standing_of(port: "Port", sender: int) -> int:
    """Return the standing of a sender at the time of the present batch."""
    state = port.state
    if sender == UNNAMED:
        return STRANGER
    if port.allowed.shape[0] > 0:
        return BELIEVED if _is_allowed(port, sender) else STRANGER
    if is_believed(port, sender):
        return BELIEVED
    if state.n_believed == 0:
        return NEWCOMER
    if _is_senior(port, sender):
        _reinstate(port)
        return BELIEVED
    silent_ns = state.batch_ns - state.believed_ns
    stranger = _stranger_of(port, sender)
    alive_ns = max(SILENCE_NS, SILENT_PERIODS * state.period_ns)
    if stranger >= 0:
        alive_ns = max(alive_ns, STRANGER_SILENCE_NS)
    if silent_ns >= alive_ns:
        return NEWCOMER
    if state.n_quarantined > 0:
        return ON_TRIAL if state.on_trial == sender else STRANGER
    if stranger >= 0 and state.batch_ns - port.strangers[stranger].tried_ns < TRIAL_NS:
        return STRANGER
    return ON_TRIAL if stranger >= 0 or port.strangers[port.strangers.shape[0] - 1].n == 0 else STRANGER


@compilable
def is_believed(port: "Port", sender: int) -> bool:
    """Return whether the packets of a sender are used; of configured senders, this is known by `standing_of`."""
    if port.allowed.shape[0] > 0:
        return _is_allowed(port, sender)
    for i in range(port.state.n_believed):  # noqa: SIM110 - a generator would not compile
        if port.believed[i] == sender:
            return True
    return False


@compilable
def has_believed(port: "Port") -> bool:
    """Return whether it is known who sends to the port, and that sender is alive."""
    state = port.state
    if port.allowed.shape[0] > 0:
        return True
    alive_ns = max(SILENCE_NS, SILENT_PERIODS * state.period_ns)
    return state.n_believed > 0 and state.batch_ns - state.believed_ns < alive_ns


@compilable
def believe(port: "Port", sender: int) -> None:
    """Add a sender to those that are believed; if there are too many already, it stays a stranger."""
    if is_believed(port, sender) or port.state.n_believed == port.believed.shape[0]:
        return
    stranger = _stranger_of(port, sender)
    if stranger >= 0:
        _forget_stranger(port, stranger)
    port.believed[port.state.n_believed] = sender
    port.state.n_believed += 1


@compilable
def dismiss_believed(port: "Port") -> None:
    """Believe nobody any more, and remember for how many frames the senders have been believed."""
    state = port.state
    n_frames = _n_frames(port) - state.n_frames_before
    if n_frames >= state.n_former_frames:
        state.n_former_frames = n_frames
        for i in range(port.formers.shape[0]):
            port.formers[i] = port.believed[i] if i < state.n_believed else NOBODY
    state.n_believed = 0
    state.n_frames_before = _n_frames(port)


@compilable
def note_stranger(port: "Port", sender: int) -> None:
    """Count a refused packet of a stranger; the first few strangers with a known address are counted one by one."""
    if sender == UNNAMED:
        return
    for i in range(port.strangers.shape[0]):
        stranger = port.strangers[i]
        if stranger.n == 0 or stranger.sender == sender:
            if stranger.n == 0:
                stranger.sender = sender
                stranger.tried_ns = port.state.batch_ns
            stranger.n += 1
            return


@compilable
def note_trial(port: "Port", sender: int) -> None:
    """Remember that a stranger was tried just now."""
    stranger = _stranger_of(port, sender)
    if stranger >= 0:
        port.strangers[stranger].tried_ns = port.state.batch_ns


@compilable
def note_frame(port: "Port") -> None:
    """Note that a frame of a believed sender begins in the present batch."""
    state = port.state
    state.period_ns = min(max(0, state.batch_ns - state.newest_ns), MAX_PERIOD_NS)
    state.newest_ns = state.batch_ns


@compilable
def _is_allowed(port: "Port", sender: int) -> bool:
    if sender >= FIRST_IPV6:
        return sender & 1 == 1
    for i in range(port.allowed.shape[0]):  # noqa: SIM110 - a generator would not compile
        if sender & port.allowed[i].mask == port.allowed[i].address:
            return True
    return False


@compilable
def _stranger_of(port: "Port", sender: int) -> int:
    for i in range(port.strangers.shape[0]):
        if port.strangers[i].n > 0 and port.strangers[i].sender == sender:
            return i
    return NOBODY


@compilable
def _forget_stranger(port: "Port", index: int) -> None:
    """Remove a stranger; the others move up, so that the free places are at the end."""
    strangers = port.strangers
    last = strangers.shape[0] - 1
    for i in range(index, last):
        strangers[i].sender = strangers[i + 1].sender
        strangers[i].n = strangers[i + 1].n
        strangers[i].tried_ns = strangers[i + 1].tried_ns
    strangers[last].n = 0


@compilable
def _is_senior(port: "Port", sender: int) -> bool:
    """Return whether a sender was believed for more frames than those that are believed now."""
    if _n_frames(port) - port.state.n_frames_before >= port.state.n_former_frames:
        return False
    for i in range(port.formers.shape[0]):  # noqa: SIM110 - a generator would not compile
        if port.formers[i] == sender:
            return True
    return False


@compilable
def _reinstate(port: "Port") -> None:
    """Believe former senders again; their successors are strangers."""
    state = port.state
    for i in range(state.n_believed):
        note_stranger(port, port.believed[i])
    state.n_believed = 0
    state.has_identity = 0
    for i in range(port.formers.shape[0]):
        if port.formers[i] != NOBODY:
            believe(port, port.formers[i])
    state.n_frames_before = _n_frames(port) - state.n_former_frames


@compilable
def _n_frames(port: "Port") -> int:
    return port.counters.frames_complete + port.counters.frames_incomplete
