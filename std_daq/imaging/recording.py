"""What a detector of images records."""

from std_daq.imaging.image_faults import describe_faults
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.recording.recorded import Recorded

IMAGES = Recorded(
    noun="image",
    metadata=IMAGE_METADATA,
    number_field="frame_index",
    describe_faults=describe_faults,
    no_ring="there is no ImageBuffer yet: is the assembler running?",
)
