"""Geometry Description Markup Language (GDML), as Geant4 reads and writes it."""
