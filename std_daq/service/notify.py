"""ManagerNotifier: tells systemd that a service has started, how it is, and that it is alive (``sd_notify``).

systemd gives a service of ``Type=notify`` the socket NOTIFY_SOCKET, to which it sends short texts. Started in any other
way, a service tells nobody. The protocol is so small that no library is needed for it.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

SOCKET_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE, WATCHDOG_PID_VARIABLE = "WATCHDOG_USEC", "WATCHDOG_PID"
PERIOD_S = 1.0
_MAX_STATUS_CHARS = 500
_RESTART_USEC = 1_800_000_000


class ManagerNotifier:
    """Tells systemd about this process; does nothing if systemd has not asked for it.

    Parameters
    ----------
    why_not
        Returns why the service is not ready; None if it is.
    environ
        Environment, in which systemd names the socket.
    now_s
        Clock, in seconds.
    """

    def __init__(
        self,
        why_not: Callable[[], str | None],
        environ: Mapping[str, str] = os.environ,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._why_not = why_not
        self._now_s = now_s
        address = environ.get(SOCKET_VARIABLE, "")
        # "@" stands for the zero byte of an abstract address.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._is_watched = WATCHDOG_VARIABLE in environ and _is_this_process(environ.get(WATCHDOG_PID_VARIABLE))
        self._watchdog_usec = environ.get(WATCHDOG_VARIABLE, "")
        self._told = ""
        self._next_s = 0.0

    def tell_status(self, text: str) -> None:
        """Show a text in ``systemctl status``."""
        if self._address and text != self._told:
            self._told = text
            self._send(f"STATUS={_one_line(text)}")

    def tell_started(self) -> None:
        """Tell that the service has started: what depends on it may start now."""
        # Where this process starts again, it had asked for patience.
        self._send(f"READY=1\nWATCHDOG_USEC={self._watchdog_usec}" if self._is_watched else "READY=1")
        self._next_s = 0.0

    def beat(self) -> None:
        """Tell once a second that the main loop goes on, and, if it has changed, whether the service is ready."""
        if not self._address:
            return
        now_s = self._now_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + PERIOD_S
        reason = self._why_not()
        self.tell_status("ready" if reason is None else f"not ready: {reason}")
        if self._is_watched:
            self._send("WATCHDOG=1")

    def tell_restarting(self) -> None:
        """Tell that this process starts again with another configuration, which may take minutes."""
        patience = f"\nWATCHDOG_USEC={_RESTART_USEC}" if self._is_watched else ""
        self._send(f"RELOADING=1\nSTATUS=takes another configuration{patience}")

    def tell_ending(self) -> None:
        """Tell that the service is ending."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A manager that does not read must not stop a service.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(text.encode(), self._address)


def _is_this_process(pid: str | None) -> bool:
    return pid is None or pid == str(os.getpid())


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MAX_STATUS_CHARS]
