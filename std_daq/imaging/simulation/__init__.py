"""Sources of simulated and of recorded packets of image detectors."""
