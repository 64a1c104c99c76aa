"""Telescopes: their files of frames (`std_daq.telescope.pff`)."""
