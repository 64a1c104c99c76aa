"""Results of an analysis, made up, and a publisher of them in place of the analysis."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zmq

from std_daq.tpc.reconstruction.results import ESTIMATE, EventResult, encode_result


def made_up_result(
    event_id: int, *, epoch: int = 0, n_points: int = 20, n_estimates: int = 1, **numbers: int
) -> EventResult:
    """Return a result whose points and estimates follow from its id; ``numbers`` are those of the analysis."""
    generator = np.random.default_rng(event_id)
    estimates = np.zeros(n_estimates, ESTIMATE)
    estimates["event"], estimates["cluster_label"] = event_id, np.arange(n_estimates)
    estimates["brho"], estimates["polar"], estimates["sqrt_dEdx"] = 0.9, np.pi / 4, 20.0
    return EventResult(
        id=event_id,
        epoch=epoch,
        cloud=generator.uniform(0, 100, (n_points, 8)),
        labels=generator.integers(-1, 3, n_points).astype(np.int32),
        estimates=estimates,
        built_ns=time.time_ns(),
        **numbers,
    )


class ResultsPublisher:
    """Publishes results as the analysis does."""

    def __init__(self, address: str) -> None:
        Path(address.removeprefix("ipc://")).parent.mkdir(parents=True, exist_ok=True)
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        self._socket.bind(address)

    def wait_for_subscriber(self, timeout_s: float = 30.0) -> None:
        """Wait until somebody has subscribed."""
        if not self._socket.poll(round(timeout_s * 1000)):
            raise TimeoutError("nobody subscribes")
        self._socket.recv()

    def publish(self, result: EventResult) -> None:
        """Publish a result; never waits."""
        self.publish_parts(encode_result(result))

    def publish_parts(self, parts: list[bytes]) -> None:
        """Publish any message."""
        self._socket.send_multipart(parts, zmq.DONTWAIT)

    def close(self) -> None:
        """Release the address."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def chamber_document(shm_dir: Path, **keys: Any) -> dict[str, Any]:
    """Return a ``tpc.json`` without a channel map."""
    return {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:9"],
        "pads": {"geometry": "attpc"},
        "boards": [[0, 0], [0, 1]],
        "shared_memory": {"directory": str(shm_dir)},
        **keys,
    }
