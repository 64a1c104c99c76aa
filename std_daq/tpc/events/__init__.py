"""Events as the event builder publishes them: the ring, its metadata, and its reader."""
