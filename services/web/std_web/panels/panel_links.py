"""PanelLinks: one link for each detector of a system, for all browsers together."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from fastapi import WebSocket

from std_daq.config.platform import PlatformConfig
from std_web.detectors import Console
from std_web.problems import HttpProblem

C = TypeVar("C", bound=PlatformConfig)
L = TypeVar("L", bound=AbstractAsyncContextManager[object])
_POLICY_VIOLATION = 1008


class PanelLinks(Generic[C, L]):
    """The links of one system.

    Parameters
    ----------
    console
        The detectors; the links live as long as the console.
    model
        Configuration of the system.
    noun
        The system in words, as ``telescope``.
    make
        Makes the link of one detector.
    """

    def __init__(self, console: Console, model: type[C], noun: str, make: Callable[[C], L]) -> None:
        self._console = console
        self._noun = noun
        self._links: dict[str, L] = {}
        for name, detector in console.detectors.items():
            if isinstance(detector.config, model):
                self._links[name] = make(detector.config)
                console.keep(self._links[name])

    def of(self, name: str) -> L:
        """Return the link of a detector; raises HttpProblem if there is none of this name and system."""
        detector = self._console.detector(name)
        if name not in self._links:
            raise HttpProblem(404, "Another system", f"'{name}' is no {self._noun}: its system is '{detector.system}'")
        return self._links[name]

    async def of_socket(self, name: str, socket: WebSocket) -> L | None:
        """Return the link of a detector; None, with the WebSocket closed, if there is none."""
        try:
            return self.of(name)
        except HttpProblem as problem:
            await socket.close(_POLICY_VIOLATION, problem.title)
            return None
