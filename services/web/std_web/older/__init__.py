"""The REST interface that scripts of beamlines have long used: all answers have HTTP 200 and a status."""
