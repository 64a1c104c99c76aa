"""NetworkLab: two servers on one machine, and the network between them, which can be made as bad as wanted."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from types import TracebackType
from typing import Self

from std_test_kit.network_namespace import NetworkNamespace
from std_test_kit.wire import Wire

# Addresses for documentation (RFC 5737): no real network has them.
NEAR_ADDRESS = "192.0.2.1"
FAR_ADDRESS = "192.0.2.2"


class NetworkLab:
    """Two network namespaces that reach each other over a wire; a context manager. Needs root and iproute2.

    Parameters
    ----------
    seed
        Of which frames the wire loses.

    Attributes
    ----------
    near, far
        The two servers: what is started ``with lab.near.inside()`` runs on the one.
    wire
        Delay, loss, rate and silent cuts.
    """

    near: NetworkNamespace
    far: NetworkNamespace
    wire: Wire

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._between: NetworkNamespace
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self.near, self.far, self._between = (
                opening.enter_context(closing(NetworkNamespace(name))) for name in ("near", "far", "between")
            )
            for server, address in ((self.near, NEAR_ADDRESS), (self.far, FAR_ADDRESS)):
                self._connect(server, address)
            with self._between.inside():
                self.wire = opening.enter_context(closing(Wire("near", "far", seed=self._seed)))
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Lose all frames while the context lasts, as a switch that has lost its power; nobody is told."""
        self.wire.is_cut = True
        try:
            yield
        finally:
            self.wire.is_cut = False

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Take the cable out of the near server while the context lasts: its interface has no carrier."""
        self._between.ip("link set dev near down")
        try:
            yield
        finally:
            self._between.ip("link set dev near up")

    def _connect(self, server: NetworkNamespace, address: str) -> None:
        """Lay a cable from a server to the namespace with the wire, where its end has the server's name."""
        server.ip(f"link add dev link type veth peer name {server.name} netns {self._between.path}")
        server.ip(f"address add {address}/24 dev link")
        server.ip("link set dev link up")
        self._between.ip(f"link set dev {server.name} up")
