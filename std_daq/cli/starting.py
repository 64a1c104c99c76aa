"""Waiting for services that are starting, and for runs, in commands that need them."""

import sys
import time
from typing import TYPE_CHECKING

from std_daq.errors import ResourceError

if TYPE_CHECKING:
    from std_daq.config.platform import PlatformConfig
    from std_daq.folders.held_lock import Holder

# A script that starts `std-daq up &` and then a command: Python itself takes a part of a second to start.
GRACE_S = 3.0
_LOOK_S = 0.1
_WAITS = "waiting"  # the state of a run that has no image yet


def wait_for_services(config: "PlatformConfig", *, broker_url: str | None = None, needs_broker: bool = False) -> None:
    """Wait while ``std-daq up`` starts the services of a system, and say so; returns at once where nothing starts.

    Parameters
    ----------
    config
        Configuration of the system.
    broker_url
        URL of the broker, if the command was given one.
    needs_broker
        Whether the command cannot do anything without a broker: where nobody gives one, it waits a moment for a
        ``std-daq up`` that is about to begin.

    Raises
    ------
    ResourceError
        The services ended before they were ready.
    """
    from std_daq.config.up_lock import running_up

    up = _begin(config, broker_url) if needs_broker else running_up(config)
    if up is None or up.is_ready:
        return
    print(
        f"the services of {config.name} are starting ({up}); waiting until they are ready", file=sys.stderr, flush=True
    )
    while not up.is_ready:
        time.sleep(_LOOK_S)
        up = running_up(config)
        if up is None:
            raise ResourceError(
                f"the services of {config.name} ended before they were ready; read the log of std-daq up"
            )


def wait_for_run(config: "PlatformConfig") -> None:
    """Wait until a run waits for its first image, and say so; whoever sends then sends nothing too early.

    Raises
    ------
    ResourceError
        The services ended before they were ready, or no writer agent of the system is on this machine.
    """
    from std_daq.client.status import StatusReader

    status = StatusReader(config)
    is_told = False
    deadline = time.monotonic() + GRACE_S
    while True:
        wait_for_services(config)
        state = status.read().run.state
        if state == _WAITS:
            return
        if state:
            deadline = time.monotonic() + GRACE_S
            if not is_told:
                print(f"waiting until a run of {config.name} waits for its first image", file=sys.stderr, flush=True)
                is_told = True
        elif time.monotonic() > deadline:
            raise ResourceError(
                f"no writer agent of {config.name} runs on this machine, so no run is seen here; start the services "
                "(std-daq up), or leave --when-requested out"
            )
        time.sleep(_LOOK_S)


def _begin(config: "PlatformConfig", broker_url: str | None) -> "Holder | None":
    from std_daq.amqp.broker_lookup import given_broker_address
    from std_daq.config.up_lock import running_up

    deadline = time.monotonic() + GRACE_S
    while (up := running_up(config)) is None and time.monotonic() < deadline:
        if given_broker_address(config, broker_url) is not None:
            return None
        time.sleep(_LOOK_S)
    return up
