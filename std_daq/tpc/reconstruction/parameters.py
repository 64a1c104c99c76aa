"""Parameters of the reconstruction, the section ``analysis`` of a ``tpc.json``."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from std_daq.config.section import PathBesideFile, Section, union_tag

MAX_SEED = 2**63 - 1

# Beyond these bounds nothing in a chamber lies, and the arithmetic of the reconstruction may overflow.
MAX_NUMBER = 1e9
MAX_POINTS = 10_000_000

PositiveNumber = Annotated[float, Field(gt=0, le=MAX_NUMBER)]
Fraction = Annotated[float, Field(ge=0, le=MAX_NUMBER)]
TimeBucket = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]


class DetectorParameters(Section):
    """The chamber: its fields and its length, and where it begins and ends in time."""

    magnetic_field: PositiveNumber = Field(3.0, description="Magnetic field, in T.")
    electric_field: PositiveNumber = Field(45_000.0, description="Electric field, in V/m.")
    detector_length: PositiveNumber = Field(1000.0, description="Length from pads to window, in mm.")
    beam_region_radius: PositiveNumber = Field(
        30.0, description="An estimate whose vertex is further from the axis is left out, in mm."
    )
    micromegas_time_bucket: TimeBucket = Field(
        10.0, description="Time bucket of a charge that was set free at the pads."
    )
    window_time_bucket: TimeBucket = Field(
        560.0, description="Time bucket of a charge that was set free at the window."
    )
    get_frequency: PositiveNumber = Field(6.25, description="Sampling frequency of the electronics, in MHz.")

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.window_time_bucket == self.micromegas_time_bucket:
            raise ValueError("window_time_bucket and micromegas_time_bucket are equal: nothing would drift")
        return self


class GetParameters(Section):
    """Baselines and peaks of the traces."""

    baseline_window_scale: PositiveNumber = Field(20.0, description="Width of the baseline's filter; larger: smoother.")
    peak_separation: Annotated[float, Field(ge=1, le=MAX_NUMBER)] = Field(
        50.0, description="Least distance of two peaks, in time buckets."
    )
    peak_prominence: Fraction = Field(20.0, description="Least prominence of a peak.")
    peak_max_width: PositiveNumber = Field(100.0, description="Largest width of a peak, in time buckets.")
    peak_threshold: Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)] = Field(
        25.0, description="An amplitude must exceed it."
    )


class OverlapJoinParameters(Section):
    """Joins clusters whose circles overlap."""

    min_cluster_size_join: float = Field(
        15.0, ge=0, le=MAX_NUMBER, description="Points that a cluster needs to be joined."
    )
    circle_overlap_ratio: Fraction = Field(
        0.5, description="Clusters are joined if a larger part of the smaller circle's area is in the other circle."
    )


class ContinuityJoinParameters(Section):
    """Joins clusters of which one goes on where the other ends."""

    join_radius_fraction: Fraction = Field(description="Largest step in radius, as a part of the span of both.")
    join_z_fraction: Fraction = Field(description="Largest step in z, as a part of the span of both.")


class ClusterParameters(Section):
    """Clusters of the points of a cloud."""

    min_cloud_size: int = Field(50, ge=1, le=MAX_POINTS, description="Points that a cloud needs.")
    min_points: int = Field(3, ge=1, le=MAX_POINTS, description="min_samples of HDBSCAN.")
    min_size_scale_factor: Fraction = Field(0.05, description="Least size of a cluster, as a part of the cloud.")
    min_size_lower_cutoff: int = Field(10, ge=2, le=MAX_POINTS, description="Least size of a cluster in small clouds.")
    cluster_selection_epsilon: Fraction = Field(10.0, description="Clusters nearer than this are not told apart.")
    overlap_join: OverlapJoinParameters | None = Field(
        default_factory=OverlapJoinParameters, description="Joins clusters whose circles overlap; null: does not."
    )
    continuity_join: ContinuityJoinParameters | None = Field(
        None, description="Joins clusters that go on in each other, in place of overlap_join; null: does not."
    )
    outlier_scale_factor: Fraction = Field(
        0.5, description="Neighbours that decide about outliers, as a part of the cluster."
    )


class EstimateParameters(Section):
    """Physical observables of the clusters."""

    min_total_trajectory_points: int = Field(30, ge=2, le=MAX_POINTS, description="Points that a cluster needs.")
    smoothing_factor: Fraction = Field(100.0, description="lam of the smoothing splines; larger: smoother.")


class OwnPhaseParameters(Section):
    """A phase of your own: a function that takes the event, and parameters by their names."""

    file: PathBesideFile = Field(description="Python file that defines the function.")
    function: str = Field(description="Name of the function.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Values of its keyword-only arguments; their types are those of the function."
    )


PhaseName = Literal["cloud", "clusters", "estimates"]
_NAME, _OWN = union_tag("name"), union_tag("own")
PhaseChoice = Annotated[
    Annotated[PhaseName, Tag(_NAME)] | Annotated[OwnPhaseParameters, Tag(_OWN)],
    Discriminator(lambda value: _NAME if isinstance(value, str) else _OWN),
]
_ALL_PHASES: tuple[PhaseName | OwnPhaseParameters, ...] = ("cloud", "clusters", "estimates")


class AnalysisParameters(Section):
    """Parameters of the reconstruction."""

    detector: DetectorParameters = Field(default_factory=lambda: DetectorParameters(), description="The chamber.")
    get: GetParameters = Field(default_factory=lambda: GetParameters(), description="Baselines and peaks.")
    cluster: ClusterParameters = Field(default_factory=lambda: ClusterParameters(), description="Clusters.")
    estimate: EstimateParameters = Field(default_factory=lambda: EstimateParameters(), description="Observables.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Selects the random numbers, together with each event id.")
    phases: list[PhaseChoice] = Field(
        default_factory=lambda: list(_ALL_PHASES),
        max_length=100,
        description="What is done with an event, in this order; a phase of your own may stand anywhere.",
    )
