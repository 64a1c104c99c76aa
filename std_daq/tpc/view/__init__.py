"""Drawings of a chamber in Rerun: events, histograms, boards and waveforms; needs the extra ``view3d``."""
