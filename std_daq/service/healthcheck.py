"""The health check of a container: ``python -m std_daq.service.healthcheck [--live] [URL]``.

The exit code is 0 if the service is ready, else 1; the reason is printed in one line. With ``--live`` the exit code is
also 0 if the service answers without being ready: Docker Swarm kills a container that is not healthy. The check runs
every few seconds in each container, so it imports only a few modules of the standard library.
"""

import http.client
import json
import os
import sys
from collections.abc import Sequence

PORT_VARIABLE = "STD_DAQ_METRICS_PORT"
ADDRESS_VARIABLE = "STD_DAQ_METRICS_ADDRESS"
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - each with the address for a request from this machine
TIMEOUT_S = 8.0  # shorter than the limit of the container engine, which would hide the reason that is printed here
LIVE = "--live"
_PATH = "/health/ready"


def main(argv: Sequence[str]) -> int:
    """Check the service of this container, or the one at the given ``http://host:port``; returns the exit code."""
    urls = [argument for argument in argv if argument != LIVE]
    if urls:
        place = urls[0].removeprefix("http://").partition("/")[0]
    else:
        port = os.environ.get(PORT_VARIABLE)
        if not port:
            print(f"{PORT_VARIABLE} is not set: give the URL of the service's endpoint", file=sys.stderr)  # noqa: T201
            return 1
        address = os.environ.get(ADDRESS_VARIABLE) or "127.0.0.1"
        address = EVERY_ADDRESS.get(address, address)
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    answers, problem = ask(place)
    print(problem or "ready")  # noqa: T201 - the container engine stores it as the output of the check
    is_healthy = answers if LIVE in argv else not problem
    return 0 if is_healthy else 1


def ask(place: str) -> tuple[bool, str]:
    """Return whether the service at ``host:port`` answers, and why it is not ready (empty if it is ready)."""
    try:
        connection = http.client.HTTPConnection(place, timeout=TIMEOUT_S)
        try:
            connection.request("GET", _PATH)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return False, f"nothing answers at {place}: {error}"
    if answer.status == http.client.OK:
        return True, ""
    try:
        return True, str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return True, f"{place}{_PATH} answers {answer.status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
