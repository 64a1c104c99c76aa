"""The service event_view: shows the events of a chamber in Rerun."""
