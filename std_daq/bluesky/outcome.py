"""What the verdict of a run means for a scan."""

from std_daq.errors import StdDaqError
from std_daq.recording.requests import RunReport, Verdict


class RunOutcomeError(StdDaqError):
    """A run ended in a way with which the scan cannot go on.

    Attributes
    ----------
    report
        The report of the run.
    """

    def __init__(self, report: RunReport) -> None:
        self.report = report
        file = f" ({report.files[0]})" if report.files else ""
        super().__init__(f"run {report.request_id}{file} is {report.verdict}: {report.reason or 'no reason is given'}")


def check_outcome(report: RunReport, *, was_told_to_end: bool) -> None:
    """Raise an error unless each row of the file is the image that the scan expects there.

    Images that lack packets are in the file, in their place, and their status says so: they end no scan. A lost image
    has no row, so all rows behind it belong to other events than the documents say.

    Parameters
    ----------
    report
        The report of the run.
    was_told_to_end
        Whether the scan itself has killed the run, because it was asked for without an end.

    Raises
    ------
    RunOutcomeError
        The run was refused, failed, was killed by somebody, or has lost images.
    """
    if report.verdict is Verdict.COMPLETE:
        return
    if report.n_lost == 0 and report.verdict is Verdict.INCOMPLETE and report.n_written == report.n_requested:
        return
    if report.n_lost == 0 and report.verdict is Verdict.KILLED and was_told_to_end:
        return
    raise RunOutcomeError(report)
