"""AnalysisOptions: the section ``services.event-analysis`` of a ``tpc.json``."""

from pydantic import Field

from std_daq.config.bounds import MAX_SECONDS
from std_daq.config.section import Section


class AnalysisOptions(Section):
    """How the analysis runs; what it computes is in the section ``analysis``."""

    workers: int | None = Field(
        None, ge=1, le=1024, description="Number of processes; null: one for each core but one."
    )
    event_timeout_s: float = Field(
        60.0,
        gt=0,
        le=MAX_SECONDS,
        description="A process that takes longer for an event, or to start, is killed, and another one is started, in "
        "seconds; what it compiles when it first starts does not count.",
    )
