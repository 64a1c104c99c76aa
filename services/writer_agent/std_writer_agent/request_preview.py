"""RequestPreview: what the agent would say to a request, for whoever asks before sending it."""

from collections.abc import Callable, Collection
from typing import Any

from std_daq.errors import RequestRefusedError
from std_daq.imaging.files.names import RunNames
from std_daq.recording.requests import WriteRequest, parse_write_request
from std_daq.telemetry.documents import Document, Query, QueryRefusedError
from std_writer_agent.examiner import Examiner

PATH = "/preview"
_PATIENCE_S = 2.0


class RequestPreview:
    """Checks requests as the desk does, without accepting them.

    Only users of this machine may ask, because the answers tell which files there are.

    Parameters
    ----------
    admit
        Checks a request, and returns the path of its file, as `std_writer_agent.admission.Admission.admit`.
    taken
        Returns the names of the files of requests that have not ended.
    """

    def __init__(
        self,
        admit: Callable[[WriteRequest, Collection[RunNames]], str],
        taken: Callable[[], Collection[RunNames]],
    ) -> None:
        self._admit = admit
        self._taken = taken
        self._examiner = Examiner()
        self.document = Document(self.answer, is_of_machine=True)

    def answer(self, query: Query) -> dict[str, Any]:
        """Return the path of the file and how many requests would be before this one, or why it would be refused.

        Parameters
        ----------
        query
            ``request``: the request, in JSON.

        Raises
        ------
        QueryRefusedError
            There is no request in the query.
        """
        if "request" not in query:
            raise QueryRefusedError("the query has no 'request', the JSON of a write request")
        taken = self._taken()
        try:
            request = parse_write_request(query["request"].encode(errors="replace"))
            output_file = self._examiner.examine(lambda: self._admit(request, taken), _PATIENCE_S)
        except RequestRefusedError as error:
            return {"output_file": None, "refusal": str(error), "n_before": len(taken)}
        return {"output_file": output_file, "refusal": None, "n_before": len(taken)}
