"""Data acquisition for fast detectors: what the services share."""

from std_daq.native.compile_cache import use_own_cache
from std_daq.native.processor_level import use_processor_level

use_processor_level()
use_own_cache()
