"""The room of time-projection chambers that are read out by GET electronics."""
