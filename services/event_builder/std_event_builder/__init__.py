"""The event builder: makes events of the frames that the exporters of a chamber send."""
