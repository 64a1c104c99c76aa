from std_writer_agent.outbox import Outbox


class NarrowQueue:
    def __init__(self, room: int) -> None:
        self.room = room
        self.taken: list[bytes] = []
        self.is_closed = False

    def push(self, message: bytes) -> bool:
        if len(self.taken) == self.room:
            return False
        self.taken.append(message)
        return True

    def close(self, linger_s: float = 0.0) -> None:
        self.is_closed = True


def test_what_finds_no_room_waits_in_order() -> None:
    queue = NarrowQueue(2)
    outbox = Outbox(queue)
    outbox.put(b"1", b"2", b"3")
    outbox.put(b"4")
    assert (queue.taken, len(outbox)) == ([b"1", b"2"], 2)
    queue.room = 10
    outbox.put(b"5")
    assert queue.taken == [b"1", b"2", b"3", b"4", b"5"]


def test_what_waits_for_a_lost_writer_is_forgotten() -> None:
    queue = NarrowQueue(0)
    outbox = Outbox(queue)
    outbox.put(b"1")
    outbox.clear()
    queue.room = 10
    outbox.close()
    assert queue.taken == []
    assert queue.is_closed
