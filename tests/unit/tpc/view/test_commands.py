"""Whatever somebody sends as a command to a view: it is answered, and the view goes on."""

from contextlib import closing
from pathlib import Path

import pytest
import zmq

from std_daq.tpc.view.commands import ViewCommand
from std_event_view.command_socket import CommandSocket

NO_COMMANDS = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no JSON": b"reset",
    "another document": b"[1]",
    "nested": b"[" * 60_000,
    "too many pads": b'{"reset": false, "pads": [%s]}' % b",".join([b"1"] * 33),
}


@pytest.mark.parametrize("message", NO_COMMANDS.values(), ids=NO_COMMANDS)
def test_what_is_no_command_is_answered_and_the_next_one_carried_out(message: bytes, runtime: Path) -> None:
    address = f"ipc://{runtime}/view.ipc"
    done: list[ViewCommand] = []
    with closing(CommandSocket(address)) as commands, zmq.Context() as context, context.socket(zmq.REQ) as asking:
        asking.connect(address)
        answers = []
        for one in (message, ViewCommand(reset=True).message()):
            asking.send(one)
            while not asking.poll(1):
                commands.serve(done.append)
            answers.append(asking.recv())
    assert answers[0] != b"done"
    assert answers[1] == b"done"
    assert done == [ViewCommand(reset=True)]
