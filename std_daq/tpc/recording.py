"""What a chamber records: events."""

from std_daq.recording.recorded import Recorded
from std_daq.tpc.events.metadata import EVENT_METADATA
from std_daq.tpc.merged.faults import describe_event_faults

# Ids rise by 1 within a run, in the order in which the builder gives events out.
EVENTS = Recorded(
    noun="event",
    metadata=EVENT_METADATA,
    number_field="id",
    describe_faults=describe_event_faults,
    no_ring="there is no ring of events yet: is the event builder running?",
)
