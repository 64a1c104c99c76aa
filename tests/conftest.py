"""Fixtures that several kinds of tests use."""

from collections.abc import Iterator

import pytest

from std_daq.broker.address import VARIABLE
from std_daq.broker.throwaway import ThrowawayBroker


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """URL of one real RabbitMQ for all tests; each test uses a tag of its own."""
    with ThrowawayBroker() as broker:
        yield broker.url


@pytest.fixture(autouse=True)
def _no_broker_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the broker that the caller's environment may name."""
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """Tag that no other test uses."""
    return f"t{abs(hash(request.node.nodeid)):x}"
