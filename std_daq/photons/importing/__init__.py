"""The import of detectors: what RAT and Geant4 export becomes our geometry file."""
