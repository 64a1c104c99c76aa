"""Data acquisition for fast detectors: what the services share."""

from std_daq.compiled_cache import use_own_cache
from std_daq.processor_level import use_processor_level

use_processor_level()
use_own_cache()
