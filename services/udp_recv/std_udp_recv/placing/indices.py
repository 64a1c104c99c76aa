"""The numbers by which the compiled code and its readers find their way in the arrays of a Port, and its limits."""

BATCH = 128
"""Rows of a batch: the most datagrams that are received at once."""
QUARANTINE = 16
"""Packets that fit in nowhere, after which the detector is taken to have restarted."""
FORWARD = 1024
"""How many frames may be lost in a row within an epoch; those further ahead begin another."""
LARGEST_KEY = 2**62
"""So that sums of keys do not overflow."""
NO_FRAME = 2**64 - 1
"""Frame index in the header of a slot that was opened in vain."""

# Port.layout
HEADER_BYTES, UNIT_BYTES, N_UNITS, MAX_UNITS, MAX_PADDING, IS_FIXED_SIZE = range(6)
WINDOW, KEY_STEP, MODULE, N_MODULES, N_SLOTS, SLOT_WORDS, DATA_STRIDE, N_LAYOUT = range(6, 14)

# Port.fields
KEY, UNIT, IMAGE_ID, PULSE_ID, TIMESTAMP, DAQ_REC, MODULE_ID, ROW, COLUMN, IDENTITY = range(10)

# Port.state; HIGHEST is the unit behind the last one received of the newest frame, FIRST the first key of the epoch.
HAS_NEWEST, NEWEST, HIGHEST, PASSED, FIRST, EPOCH, IS_IDLE, UNITS_IN_PACKET = range(8)
N_OPEN, N_QUARANTINED, HAS_IDENTITY, LEARNED_IDENTITY, N_MISMATCHED, HAS_ENDED, AIMED_KEY, N_STATE = range(8, 16)

# Port.counters: received = placed + the nine refusals + what is in quarantine.
RECEIVED, PLACED = range(2)
WRONG_LENGTH, FOREIGN_DETECTOR, FOREIGN_VERSION, FOREIGN_MODULE, UNIT_OUT_OF_RANGE = range(2, 7)
DUPLICATE, LATE, IMPLAUSIBLE, SLOT_TAKEN = range(7, 11)
LOST, FRAMES_COMPLETE, FRAMES_INCOMPLETE, FRAMES_UNANNOUNCED, RESTARTS, DISPLACED, MESSAGES, N_COUNTERS = range(11, 19)
REASONS = {
    "wrong_length": WRONG_LENGTH,
    "foreign_detector": FOREIGN_DETECTOR,
    "foreign_version": FOREIGN_VERSION,
    "foreign_module": FOREIGN_MODULE,
    "unit_out_of_range": UNIT_OUT_OF_RANGE,
    "duplicate": DUPLICATE,
    "late": LATE,
    "implausible": IMPLAUSIBLE,
    "slot_taken": SLOT_TAKEN,
}
"""Why a packet is refused, and the counter of it."""

# Columns of Port.parsed and Port.aims
P_KEY, P_UNIT, P_COUNT, P_REASON = range(4)
FITS = -1

# Port.cursors, on two cache lines
TO_WRITE, TO_READ = 0, 8

# ModuleFrame: name, index in words of `size` bytes, size; checked against the struct when the Port is made.
SLOT_FIELDS = (
    ("generation", 0, 8), ("id", 1, 8), ("pulse_id", 2, 8), ("frame_index", 3, 8), ("daq_rec", 4, 8),
    ("timestamp", 5, 8), ("first_arrival_ns", 6, 8), ("last_arrival_ns", 7, 8),
    ("n_received_packets", 16, 4), ("n_missing_packets", 17, 4), ("n_received_units", 18, 4), ("epoch", 19, 4),
    ("module_id", 40, 2), ("pos_y", 41, 2), ("pos_x", 42, 2), ("received", 11, 8),
)  # fmt: skip
S_ID, S_PULSE_ID, S_FRAME_INDEX, S_DAQ_REC, S_TIMESTAMP, S_FIRST_ARRIVAL, S_LAST_ARRIVAL = range(1, 8)
S_N_PACKETS, S_N_MISSING, S_N_UNITS, S_EPOCH = range(16, 20)
S_MODULE_ID, S_POS_Y, S_POS_X = range(40, 43)
S_RECEIVED = 11
