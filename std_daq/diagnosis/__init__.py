"""Diagnosis of a machine: whether it provides what the platform needs, and what to do if it does not."""

from std_daq.diagnosis.diagnose import diagnose
from std_daq.diagnosis.finding import Finding, Level

__all__ = ["Finding", "Level", "diagnose"]
