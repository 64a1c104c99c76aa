import random

from hypothesis import given
from hypothesis import strategies as st

from std_daq.amqp.node_rotation import FIRST_PAUSE_S, MAX_PAUSE_S, NodeRotation

NODES = ("a", "b", "c")


class NoChance(random.Random):
    """Shortens no pause."""

    def uniform(self, a: float, b: float) -> float:
        return b


def pauses(n_nodes: int, n_failures: int) -> list[float]:
    rotation = NodeRotation(NODES[:n_nodes], NoChance())
    found = []
    for _ in range(n_failures):
        rotation.fail(is_refused=False)
        found.append(rotation.pause_s())
    return found


def test_each_node_has_its_turn_in_an_order_that_stays() -> None:
    rotation = NodeRotation(NODES)
    order = []
    for _ in range(6):
        order.append(rotation.current)
        rotation.fail(is_refused=False)
    assert sorted(order[:3]) == list(NODES)
    assert order[3:] == order[:3]


def test_connections_do_not_all_begin_with_the_same_node() -> None:
    assert {NodeRotation(NODES).current for _ in range(200)} == set(NODES)


def test_pauses_double_with_each_round_through_the_nodes_up_to_a_limit() -> None:
    assert pauses(1, 7) == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert pauses(3, 7) == [0.1, 0.1, 0.2, 0.2, 0.2, 0.4, 0.4]


def test_pauses_begin_anew_after_a_success() -> None:
    rotation = NodeRotation(NODES[:1], NoChance())
    for _ in range(9):
        rotation.fail(is_refused=False)
    rotation.succeed()
    assert rotation.pause_s() == FIRST_PAUSE_S


@given(st.integers(1, 5), st.integers(0, 5000), st.integers())
def test_no_pause_is_longer_than_the_limit_or_less_than_half_of_the_first(
    n_nodes: int, n_failures: int, seed: int
) -> None:
    rotation = NodeRotation([str(number) for number in range(n_nodes)], random.Random(seed))
    for _ in range(n_failures):
        rotation.fail(is_refused=False)
    assert FIRST_PAUSE_S / 2 <= rotation.pause_s() <= MAX_PAUSE_S


def test_refusal_is_final_when_each_node_has_refused_in_one_round() -> None:
    rotation = NodeRotation(NODES)
    for is_refused in (True, True, False, True, True):
        rotation.fail(is_refused=is_refused)
        assert not rotation.is_refused_by_all
    rotation.fail(is_refused=True)
    assert rotation.is_refused_by_all
    rotation.succeed()
    assert not rotation.is_refused_by_all
