"""UDP packets, whatever they carry: captures, pacing, sending, injected faults."""
