"""Records the frames of exporters as they come, into GRAW files."""
