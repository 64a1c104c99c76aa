"""Diagnosis of a machine: does it give what the platform needs, and what to do where it does not."""

from std_daq.diagnosis.diagnose import diagnose
from std_daq.diagnosis.finding import Finding, Level

__all__ = ["Finding", "Level", "diagnose"]
