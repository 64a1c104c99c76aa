"""Data acquisition for fast detectors: what the services share."""

from std_daq.compiled_cache import use_own_cache

use_own_cache()
