"""How a connection is opened, and how its opening is ended."""

import gc
import socket

import pika

from std_daq.amqp.connecting import CuttingLoop, connect


def test_connection_that_begins_after_the_cut_is_cut_and_closed_as_well() -> None:
    ends: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        loop = CuttingLoop()
        loop.cut()

        def end(result: object) -> None:
            ends.append(result)
            loop.stop()

        port = silent.getsockname()[1]
        connect(pika.URLParameters(f"amqp://127.0.0.1:{port}/?connection_attempts=1"), loop, end)
        loop.call_later(10.0, loop.stop)
        loop.start()
        loop.close()
    gc.collect()  # a socket that is left open fails the test
    assert isinstance(ends[0], Exception)
