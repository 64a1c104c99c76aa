import pytest

from std_daq.amqp.topology import check_tag
from std_daq.errors import ConfigError


def test_tag_of_plain_characters_is_taken() -> None:
    assert check_tag("jungfrau-1.writer_2") == "jungfrau-1.writer_2"


@pytest.mark.parametrize("tag", ["", "*", "a.#", "a b", "a\n", "é", "a" * 101])
def test_tag_that_means_something_else_to_the_broker_is_refused(tag: str) -> None:
    with pytest.raises(ConfigError, match="tag"):
        check_tag(tag)


def test_tag_whose_queues_would_be_among_those_of_listeners_is_refused() -> None:
    with pytest.raises(ConfigError, match="listeners"):
        check_tag("status.listener.mine")
