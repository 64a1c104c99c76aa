import json
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from std_daq.errors import RequestRefusedError
from std_daq.imaging.files.names import RunNames
from std_daq.recording.requests import WriteRequest
from std_daq.telemetry.documents import QueryRefusedError
from std_writer_agent.request_preview import RequestPreview


def admit(request: WriteRequest, taken: Collection[RunNames]) -> str:
    if request.output_file.startswith("/etc"):
        raise RequestRefusedError("outside the allowed folders")
    return f"{request.output_file}.{len(taken)}"


def ask(preview: RequestPreview, **request: object) -> object:
    return preview.answer({"request": json.dumps(request)})


def test_preview_tells_the_path_or_the_refusal() -> None:
    preview = RequestPreview(admit, lambda: [RunNames(Path("/data/other.h5"), False)])
    assert ask(preview, output_file="/data/a") == {"output_file": "/data/a.1", "refusal": None, "n_before": 1}
    assert ask(preview, output_file="/etc/a") == {
        "output_file": None,
        "refusal": "outside the allowed folders",
        "n_before": 1,
    }


def test_preview_of_a_wrong_request_says_what_is_wrong() -> None:
    answer = ask(RequestPreview(admit, list), output_file="/data/a", n_image=3)
    assert isinstance(answer, dict)
    assert "did you mean 'n_images'?" in answer["refusal"]


def test_query_without_a_request_is_refused() -> None:
    with pytest.raises(QueryRefusedError, match="request"):
        RequestPreview(admit, list).answer({})


def test_disk_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(request: WriteRequest, taken: Collection[RunNames]) -> str:
        time.sleep(1.0)
        return ""

    monkeypatch.setattr("std_writer_agent.request_preview._PATIENCE_S", 0.05)
    answer = ask(RequestPreview(hang, list), output_file="/data/a")
    assert isinstance(answer, dict)
    assert "did not answer" in answer["refusal"]
