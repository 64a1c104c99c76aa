"""Gate: lets only those connect to the sockets of a process whose keys the server has, and encrypts what they say."""

from typing import Any, Self

import zmq
from zmq.auth.thread import ThreadAuthenticator

from std_daq.photons.keys import ServerKeys
from std_daq.telemetry.logs import ConditionLog

_DOMAIN = "std-sim"


class Gate:
    """Decides for all encrypted sockets of a context who may connect; it has a thread from its creation until `close`.

    Parameters
    ----------
    context
        The context of the sockets.
    keys
        The keys of the server, and of those who may connect.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", keys: ServerKeys) -> None:
        self._keys = keys
        self._names = {public.encode(): name for name, public in keys.clients.items()}
        self._conditions = ConditionLog()
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(_DOMAIN, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def guard(self, socket: "zmq.Socket[bytes]") -> None:
        """Have a socket that is not bound yet speak only encrypted, with those whose keys are known."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN.encode())
        # Else ZMQ lets everybody in who knows the server's public key, when the thread that decides has ended.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def callback(self, domain: Any, key: bytes) -> bool:  # noqa: ARG002 -- called by pyzmq
        """Return whether the owner of a public key may connect."""
        is_known = key in self._names
        if not is_known:
            self._conditions.warning("stranger_refused", key=key.decode("ascii", "replace"), remedy="std-sim keys")
        return is_known

    def close(self) -> None:
        """End the thread; before the context ends."""
        self._authenticator.stop()
