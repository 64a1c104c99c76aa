import base64
import re
import xml.etree.ElementTree as ET

import pytest

from std_daq.client.run_facts import RunFacts
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict

ID = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
SVG = "{http://www.w3.org/2000/svg}"
RED, YELLOW, GREEN = "#d0342c", "#e0a800", "#2e8b57"


def ended(**report: object) -> RunFacts:
    fields = {"request_id": ID, "verdict": Verdict.INCOMPLETE, "reason": "images were lost", **report}
    return RunFacts.of_statuses(ID, None, None, RunReport.model_validate(fields))


def bars(facts: RunFacts) -> list[tuple[str, float, float]]:
    """Return colour, left end and width of each bar, in shares of the plot."""
    plot = ET.fromstring(facts.plot())
    _, _, width, _ = map(float, plot.attrib["viewBox"].split())
    _ground, *drawn = plot.iter(f"{SVG}rect")
    return [(bar.attrib["fill"], float(bar.attrib["x"]) / width, float(bar.attrib["width"]) / width) for bar in drawn]


def test_run_is_told_from_before_its_first_status_to_its_report() -> None:
    assert RunFacts.of_statuses(ID, 10, None, None).in_words() == "sent: 0 of 10 images written"
    queued = StatusMessage(request_id=ID, action=Action.ACCEPTED, source="a", details={"output_file": "/data/r.h5"})
    facts = RunFacts.of_statuses(ID, 10, queued, None)
    assert (facts.state, facts.files) == ("queued", ("/data/r.h5",))
    going = StatusMessage(request_id=ID, action=Action.PROGRESS, source="a", details={"n_written": 4, "n_lost": 1})
    facts = RunFacts.of_statuses(ID, 10, going, None)
    assert facts.in_words() == "started: 4 of 10 images written, 1 lost"
    assert bars(facts) == [(GREEN, 0.0, pytest.approx(0.4)), (RED, pytest.approx(0.4), pytest.approx(0.1))]
    facts = ended(n_requested=10, n_written=9, n_lost=1, lost_image_ids=(4,), n_incomplete=2)
    assert facts.in_words() == "incomplete: 9 of 10 images written, 2 of them incomplete, 1 lost (4)"


def test_marks_of_the_plot_stand_where_the_images_are_lost_or_incomplete() -> None:
    facts = ended(
        first_image_id=100,
        last_image_id=199,
        n_lost=11,
        lost_image_ids=(*range(120, 130), 150),
        n_incomplete=1,
        incomplete_image_ids=(180,),
    )
    assert bars(facts) == [
        (GREEN, 0.0, 1.0),
        (YELLOW, pytest.approx(0.8), pytest.approx(0.01)),
        (RED, pytest.approx(0.2), pytest.approx(0.1)),
        (RED, pytest.approx(0.5), pytest.approx(0.01)),
    ]


def test_images_lost_before_the_first_and_after_the_last_that_came_are_in_the_plot() -> None:
    facts = ended(first_image_id=10, last_image_id=89, n_lost=20, lost_image_ids=(*range(10), *range(90, 100)))
    assert bars(facts)[1:] == [(RED, 0.0, pytest.approx(0.1)), (RED, pytest.approx(0.9), pytest.approx(0.1))]


def test_one_lost_image_of_a_million_is_seen() -> None:
    facts = ended(first_image_id=0, last_image_id=999_999, n_lost=1, lost_image_ids=(500_000,))
    (_, (colour, left, width)) = bars(facts)
    assert (colour, left) == (RED, pytest.approx(0.5))
    assert width == pytest.approx(1 / 640)


def test_plot_of_any_number_of_losses_is_small() -> None:
    facts = ended(first_image_id=0, last_image_id=199_999, n_lost=15_000, lost_image_ids=tuple(range(0, 30_000, 2)))
    assert len(facts.as_html()) < 100_000


def test_names_in_the_html_are_no_html() -> None:
    facts = ended(files=("/data/<script>alert(1)</script>.h5",), reason="<b>", n_written=1)
    assert "<script>" not in facts.as_html()
    assert "&lt;script&gt;" in facts.as_html()
    assert "&lt;b&gt;" in facts.as_html()


def test_plot_is_a_picture_with_a_text_for_those_who_do_not_see_it() -> None:
    html = ended(first_image_id=1, last_image_id=10, n_lost=2, lost_image_ids=(3, 4)).as_html()
    (source,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', html)
    assert ET.fromstring(base64.b64decode(source)).tag == f"{SVG}svg"
    assert 'alt="images 1 to 10: 2 lost"' in html


def test_run_without_an_image_has_no_plot() -> None:
    assert ended(verdict="failed", reason="no image came").plot() == ""


def test_document_that_is_none_of_a_run_is_refused() -> None:
    with pytest.raises(ValueError, match="not the document of a run"):
        RunFacts.of_document({"request_id": ID})
