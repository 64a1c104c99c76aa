"""AnalysisOptions: the section ``services.event-analysis`` of a ``tpc.json``."""

from pydantic import Field

from std_daq.config.section import Section


class AnalysisOptions(Section):
    """How the analysis runs; what it computes is in the section ``analysis``."""

    workers: int | None = Field(
        None, ge=1, le=1024, description="Number of processes; null: one for each core but one."
    )
