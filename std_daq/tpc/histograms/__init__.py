"""Histograms of estimates: by run, and of the last minutes."""
