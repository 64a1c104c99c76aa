import pytest

from std_daq.amqp.messages import Message, encode_properties, fit_into_frame
from std_daq.errors import BrokerError, MessageRefusedError
from std_daq.recording.requests import RunReport, StatusMessage, Verdict, new_request_id


def test_message_is_persistent_and_carries_the_request_id() -> None:
    properties = encode_properties(Message(exchange="status", correlation_id="r", headers={"n": 1}), "writer")
    assert properties.delivery_mode == 2
    assert properties.correlation_id == b"r"
    assert properties.headers == {"n": 1}


@pytest.mark.parametrize(
    "message",
    [
        Message(exchange="status", correlation_id="r" * 300),
        Message(exchange="status", correlation_id="r", routing_key="t" * 300),
        Message(exchange="status", correlation_id="r", headers={"a": object()}),
        Message(exchange="status", correlation_id="r", headers={"a": 2**70}),
    ],
    ids=["long id", "long tag", "unknown type", "long number"],
)
def test_message_that_would_break_the_connection_is_refused_at_once(message: Message) -> None:
    with pytest.raises(BrokerError):
        encode_properties(message, "writer")


@pytest.mark.parametrize("frame_max", [4096, 16384, 131072, 0])
@pytest.mark.parametrize("letter", ["x", "é", "😀", '"'])
def test_status_fits_into_the_frames_of_any_broker(frame_max: int, letter: str) -> None:
    report = RunReport(
        request_id=new_request_id(),
        verdict=Verdict.FAILED,
        reason=letter * 10_000,
        n_lost=100_000,
        lost_image_ids=tuple(range(0, 200_000, 2)),
        files=tuple(f"/data/{letter * 60}_{number}.h5" for number in range(2000)),
    )
    status = StatusMessage.of_report(report, source="t" * 100, body=b"{}")
    message = Message(
        exchange="status",
        correlation_id=report.request_id,
        headers=status.to_wire()[1],
        shorten=lambda max_bytes: status.to_wire(max_bytes)[1],
    )
    fitting = fit_into_frame(message, "n" * 100, frame_max)
    n_bytes = sum(map(len, encode_properties(fitting, "n" * 100).encode())) + 20
    assert not frame_max or frame_max / 4 < n_bytes <= frame_max
    heard = StatusMessage.from_wire(report.request_id, b"", fitting.headers)
    assert heard.report is not None
    assert heard.report.verdict is Verdict.FAILED
    assert heard.report.lost_image_ids_truncated + len(heard.report.lost_image_ids) == 100_000
    assert heard.report.files_truncated + len(heard.report.files) == 2000


def test_headers_that_cannot_be_shortened_are_refused_before_they_are_sent() -> None:
    message = Message(exchange="status", correlation_id="r", headers={"a": "x" * 5000})
    assert fit_into_frame(message, "writer", 8192) is message
    with pytest.raises(MessageRefusedError, match="leaves room for 4076"):
        fit_into_frame(message, "writer", 4096)
