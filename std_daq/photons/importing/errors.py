"""DetectorImportError: why a detector is refused."""

from std_daq.errors import ConfigError


class DetectorImportError(ConfigError):
    """A description of a detector cannot become a geometry; the message names the thing and what to do."""
