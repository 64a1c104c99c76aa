"""RefusedCallError: why a call of a client is not carried out, as a gRPC status."""

import grpc

from std_daq.errors import StdDaqError


class RefusedCallError(StdDaqError):
    """A call is not carried out.

    Parameters
    ----------
    code
        The gRPC status.
    text
        What the client is told.
    """

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
