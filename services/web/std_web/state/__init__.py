"""The state of detectors: what their services tell, judged and kept for some minutes."""
