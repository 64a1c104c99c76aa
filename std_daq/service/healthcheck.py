"""Ask a service whether it is ready, as containers do: ``python -m std_daq.service.healthcheck [URL]``.

Exit code 0 when it is, else 1 with the reason in one line. It runs every few seconds in each container, so it imports
nothing but a little of the standard library.
"""

import http.client
import json
import os
import sys
from collections.abc import Sequence

PORT_VARIABLE = "STD_DAQ_METRICS_PORT"
TIMEOUT_S = 3.0
_PATH = "/health/ready"


def main(argv: Sequence[str]) -> int:
    """Ask the service of this container, or that of the given ``http://host:port``; returns the exit code."""
    if argv:
        place = argv[0].removeprefix("http://").partition("/")[0]
    else:
        port = os.environ.get(PORT_VARIABLE)
        if not port:
            print(f"{PORT_VARIABLE} is not set: give the URL of the service's endpoint", file=sys.stderr)  # noqa: T201
            return 1
        place = f"127.0.0.1:{port}"
    problem = why_not_ready(place)
    print(problem or "ready")  # noqa: T201 - the engine keeps it as the output of the check
    return 1 if problem else 0


def why_not_ready(place: str) -> str:
    """Return why the service at ``host:port`` is not ready; empty when it is."""
    try:
        connection = http.client.HTTPConnection(place, timeout=TIMEOUT_S)
        try:
            connection.request("GET", _PATH)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f"nothing answers at {place}: {error}"
    if answer.status == http.client.OK:
        return ""
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return f"{place}{_PATH} answers {answer.status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
