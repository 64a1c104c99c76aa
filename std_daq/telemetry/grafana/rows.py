"""What the dashboard shows first, row by row; metrics that no panel names are shown in further rows, by service."""

from dataclasses import dataclass

from std_daq.telemetry.grafana.queries import PrometheusQuery


@dataclass(frozen=True, slots=True)
class MetricsPanel:
    """Metrics in one panel, with the standard queries of each.

    Attributes
    ----------
    title
        Of the panel.
    metrics
        Their names, all of one type and unit.
    by
        Labels that tell series apart; None: all.
    unit
        As Grafana calls it; None: from the name of the first metric.
    """

    title: str
    metrics: tuple[str, ...]
    by: tuple[str, ...] | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class ComputedPanel:
    """A panel with queries of its own.

    Attributes
    ----------
    title, unit
        Of the panel.
    queries
        Its queries.
    meaning
        What is shown, in words.
    """

    title: str
    unit: str
    queries: tuple[PrometheusQuery, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class PanelRow:
    """A row with a title; it is in the dashboard where a service shows one of its metrics."""

    title: str
    panels: tuple[MetricsPanel | ComputedPanel, ...]


def _rate_of(counter: str, *labels: str) -> str:
    return f"sum by ({', '.join(('detector', 'instance', *labels))}) (rate({counter}{{}}[$__rate_interval]))"


_OF_SERVICE = "{{detector}} {{service}}"
_LOST = _rate_of("daq_udp_packets_lost_total", "module")

ROWS = (
    PanelRow(
        "Services",
        (
            ComputedPanel(
                "Do their work",
                "bool_yes_no",
                (PrometheusQuery("min by (detector, service, instance) (daq_ready{})", _OF_SERVICE),),
                "Whether each service does its work. A service that does not answer has no series.",
            ),
            ComputedPanel(
                "Restarts",
                "none",
                (
                    PrometheusQuery(
                        "sum by (detector, service, instance) "
                        "(changes(process_start_time_seconds{}[$__rate_interval]))",
                        _OF_SERVICE,
                    ),
                ),
                "How often each service has started again.",
            ),
            ComputedPanel(
                "Cores used",
                "none",
                (
                    PrometheusQuery(
                        "sum by (detector, service, instance) (rate(process_cpu_seconds_total{}[$__rate_interval]))",
                        _OF_SERVICE,
                    ),
                ),
                "Processor cores that each service keeps busy.",
            ),
            ComputedPanel(
                "Memory",
                "bytes",
                (
                    PrometheusQuery(
                        "sum by (detector, service, instance) (process_resident_memory_bytes{})", _OF_SERVICE
                    ),
                ),
                "Resident memory of each service, with the pages of rings that it has touched.",
            ),
        ),
    ),
    PanelRow(
        "Reception",
        (
            MetricsPanel("Packets received", ("daq_udp_packets_received_total",), ("module",), "pps"),
            ComputedPanel(
                "Packets lost",
                "percentunit",
                (
                    PrometheusQuery(
                        f"{_LOST} / ({_LOST} + {_rate_of('daq_udp_packets_received_total', 'module')})",
                        "{{detector}} module {{module}}",
                    ),
                ),
                "Share of the packets of each module that did not arrive.",
            ),
            MetricsPanel("Packets dropped by the kernel", ("daq_udp_kernel_drops_total",), ("module",), "pps"),
            MetricsPanel("Packets refused", ("daq_udp_packets_rejected_total",), ("reason",), "pps"),
            MetricsPanel("Exposures", ("daq_udp_exposures_total",), ("modules",)),
            MetricsPanel("Exposures that wait for modules", ("daq_udp_exposures_waiting",)),
            MetricsPanel("Incomplete frames", ("daq_udp_frames_incomplete_total",), ("module",)),
            MetricsPanel("Frames ahead of other modules", ("daq_udp_frames_ahead",), ("module",)),
        ),
    ),
    PanelRow(
        "Assembly",
        (
            MetricsPanel("Images published", ("daq_images_total",), ("status",)),
            ComputedPanel(
                "Age of the newest image",
                "s",
                (
                    PrometheusQuery(
                        "time() - (max by (detector, service, instance) (daq_last_image_timestamp_seconds{}) > 0)",
                        _OF_SERVICE,
                    ),
                ),
                "Time since the last image was published. There is no series before the first one.",
            ),
            MetricsPanel("From the last packet to the image", ("daq_image_latency_seconds",)),
            MetricsPanel("Exposures lost", ("daq_assembler_exposures_lost_total",)),
            MetricsPanel("Missing packets", ("daq_image_missing_packets_total",), unit="pps"),
            MetricsPanel("Readers behind", ("daq_ring_lag_ratio",), ("reader",)),
            ComputedPanel(
                "Past in the ring of images",
                "s",
                (
                    PrometheusQuery(
                        "max by (detector, instance) (daq_ring_slots{}) / on (detector, instance) "
                        f"({_rate_of('daq_images_total')} > 0)",
                        "{{detector}} {{instance}}",
                    ),
                ),
                "How long an image stays in the ring at the present rate. There is no series while no image comes.",
            ),
            MetricsPanel("Calibration", ("daq_calibration_index", "daq_calibration_refused")),
        ),
    ),
    PanelRow(
        "Writing",
        (
            MetricsPanel("State of the run", ("daq_run_state",), ("state",), "bool_yes_no"),
            MetricsPanel(
                "Images of the run", ("daq_run_images_requested", "daq_run_images_written", "daq_run_images_lost")
            ),
            MetricsPanel("Requests ended", ("daq_requests_total",), ("verdict",)),
            MetricsPanel("Requests that wait", ("daq_requests_queued",)),
            MetricsPanel("Images written", ("daq_writer_images_written_total",)),
            MetricsPanel("Bytes written", ("daq_writer_written_bytes_total",)),
            MetricsPanel("Images lost", ("daq_writer_images_lost_total",)),
            MetricsPanel("Time to write an image", ("daq_writer_image_write_seconds",)),
            MetricsPanel("State of the writers", ("daq_writer_state",), ("state",), "bool_yes_no"),
            MetricsPanel("Images that wait for writers", ("daq_run_backlog_images",)),
        ),
    ),
    PanelRow(
        "Replication",
        (
            MetricsPanel("Images sent", ("daq_replication_images_sent_total",)),
            MetricsPanel(
                "Bytes sent and received", ("daq_replication_sent_bytes_total", "daq_replica_received_bytes_total")
            ),
            MetricsPanel("Images that wait", ("daq_replication_lag_images", "daq_replica_lag_images")),
            MetricsPanel("Images lost", ("daq_replication_images_lost_total", "daq_replica_images_lost_total")),
            MetricsPanel("Peers", ("daq_replication_receivers", "daq_replica_sources")),
            MetricsPanel("Images that may be sent", ("daq_replication_credit_images",), ("receiver",)),
        ),
    ),
    PanelRow(
        "Broker",
        (
            MetricsPanel("Connected", ("daq_broker_connected",), unit="bool_yes_no"),
            MetricsPanel("Takes no messages", ("daq_broker_blocked",), ("reason",), "bool_yes_no"),
            MetricsPanel("Statuses that wait", ("daq_broker_messages_waiting",)),
        ),
    ),
    PanelRow(
        "Disk",
        (
            MetricsPanel("Room left", ("daq_disk_free_bytes",), ("root",)),
            ComputedPanel(
                "Part in use",
                "percentunit",
                (
                    PrometheusQuery(
                        "1 - max by (detector, instance, root) (daq_disk_free_bytes{}) / "
                        "max by (detector, instance, root) (daq_disk_size_bytes{})",
                        "{{detector}} {{root}}",
                    ),
                ),
                "Part of the disk of each output root that is in use.",
            ),
            ComputedPanel(
                "Full in",
                "s",
                (
                    PrometheusQuery(
                        "max by (detector, instance, root) (daq_disk_free_bytes{}) / "
                        "(max by (detector, instance, root) (-deriv(daq_disk_free_bytes{}[10m])) > 0)",
                        "{{detector}} {{root}}",
                    ),
                ),
                "When the disk is full at the rate of the last 10 minutes. There is no series while it does not fill.",
            ),
        ),
    ),
    PanelRow(
        "Live stream",
        (
            MetricsPanel("Viewers", ("daq_live_viewers",), ("stream",)),
            MetricsPanel("Images sent", ("daq_live_images_sent_total",), ("stream",)),
            MetricsPanel("Images left out", ("daq_live_images_skipped_total", "daq_live_images_torn_total")),
        ),
    ),
    PanelRow(
        "Telescope",
        (
            MetricsPanel("Packets of boards", ("daq_board_packets_total",), unit="pps"),
            MetricsPanel("Packets lost by boards", ("daq_board_packets_lost_total",), unit="pps"),
            MetricsPanel(
                "Packets without a synchronised clock", ("daq_board_packets_unsynchronised_total",), unit="pps"
            ),
            MetricsPanel("Restarts of boards", ("daq_board_restarts_total",)),
            MetricsPanel("Age of the newest image", ("daq_live_view_age_seconds",)),
            MetricsPanel("Images that have come", ("daq_live_view_frames_total",)),
            MetricsPanel("Clients of the live view", ("daq_live_view_streams",)),
            MetricsPanel("Images not sent to clients", ("daq_live_view_left_out_total",)),
            MetricsPanel("Timing receiver is read", ("daq_ublox_control_is_read",), unit="bool_yes_no"),
            MetricsPanel("Messages of the timing receiver", ("daq_ublox_control_messages_total",)),
            MetricsPanel("Quantisation error of the time pulse (ps)", ("daq_ublox_control_q_err_picoseconds",)),
        ),
    ),
    PanelRow(
        "Photon simulation",
        (
            MetricsPanel("Workers", ("daq_sim_router_workers",), ("state",)),
            MetricsPanel("Requests", ("daq_sim_router_waiting", "daq_sim_router_in_flight")),
            MetricsPanel("Events simulated", ("daq_sim_router_completed_total", "daq_sim_router_failed_total")),
            MetricsPanel(
                "Workers lost, events given up",
                ("daq_sim_router_worker_deaths_total", "daq_sim_router_given_up_total"),
            ),
            MetricsPanel("Photons simulated", ("daq_sim_worker_photons_total",)),
            MetricsPanel("Photons detected", ("daq_sim_worker_hits_total",)),
            MetricsPanel("Time in the engine", ("daq_sim_worker_busy_seconds_total",)),
            MetricsPanel("Events in hand", ("daq_sim_worker_in_hand",)),
        ),
    ),
    PanelRow(
        "Chamber",
        (
            MetricsPanel("Exporters connected", ("daq_builder_connected",), unit="bool_yes_no"),
            MetricsPanel("Bytes received", ("daq_builder_bytes_total",)),
            MetricsPanel("Frames", ("daq_builder_frames_total",), ("outcome",)),
            MetricsPanel("Damaged frames", ("daq_builder_frame_faults_total",), ("fault",)),
            MetricsPanel("Events built", ("daq_builder_events_total",)),
            MetricsPanel("Events without a board", ("daq_builder_board_missing_total",), ("board",)),
            MetricsPanel("From the first frame to the event", ("daq_builder_event_seconds",)),
            MetricsPanel("Events that wait", ("daq_builder_events_waiting", "daq_analysis_waiting")),
            MetricsPanel("Events analysed", ("daq_analysis_events_total",)),
            MetricsPanel("Events not analysed", ("daq_analysis_left_out_total",)),
            MetricsPanel("Time to analyse an event", ("daq_analysis_event_seconds",)),
            MetricsPanel("Age of what is shown", ("daq_analysis_age_seconds", "daq_event_view_age_seconds")),
        ),
    ),
)
