"""A chamber of which every process is killed, ended or stopped at random while runs are recorded, and its account.

For minutes instead of seconds: ``python -m std_test_kit.chamber_chaos --seconds 300 --seed 7``
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from std_daq.client.scrape import Scrape, scrape
from std_daq.errors import BrokerError
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import RunReport, Verdict, WriteRequest, new_request_id
from std_daq.service.record import read_records
from std_daq.tpc.view.timeline import event_time
from std_test_kit.beamline import Beamline
from std_test_kit.chamber_account import EndAccount, Follower, ResultsAccount, RingAccount, check_run
from std_test_kit.exchanges import declare_exchanges
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.live_exporters import ALL_BOARDS, LiveExporters
from std_test_kit.rerun_recordings import read_recording, viewer_process
from std_test_kit.wait import wait_until

PERIOD_S = 0.03
TIME_LIMIT_S = 0.3
_PUBLISH_ATTEMPTS = 100
HEALED_S = 60.0
SERVICES = ("event-builder", "event-analysis", "event-view", "h5-writer-0", "writer-agent")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGSTOP)
FORMATS = ("hdf5", "hdf5", "hdf5+graw", "graw")


class Viewer:
    """A Rerun viewer without a window, at one address, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_tcp_port()
        self._opened = ExitStack()
        self._n = 0
        self.url = f"127.0.0.1:{self._port}"
        self.file = folder

    def start(self) -> None:
        """Start it, or start it again."""
        self._n += 1
        self.file = self._folder / f"viewer-{self._n}.rrd"
        _, self.process = self._opened.enter_context(viewer_process(self.file, self._port))

    def kill(self) -> None:
        """Kill it."""
        self._opened.close()

    @property
    def newest(self) -> int:
        """Place on the timeline of the newest event that it has; -1 if it has none."""
        rows = read_recording(self.file).rows.get("/event/cloud", [])
        return max((row.times["event_time"] for row in rows), default=-1)


class Requester(Follower):
    """Has runs recorded, one after another; sends a request again until the broker has confirmed it.

    Attributes
    ----------
    requests
        The requests, by id.
    """

    def __init__(self, publisher: RequestPublisher, folder: Path, choice: random.Random, ends: EndAccount) -> None:
        super().__init__("requester")
        self._publisher = publisher
        self._folder = folder
        self._choice = choice
        self._ends = ends
        self.requests: dict[str, WriteRequest] = {}

    def step(self) -> None:
        """Send a request, if not too many have no end yet."""
        if len(self.requests) - len(self._ends.ends) >= 2:
            time.sleep(0.05)
            return
        self.request(self._choice.randrange(5, 60), self._choice.choice(FORMATS))
        time.sleep(self._choice.choice((0, 0.3)))

    def request(self, n_events: int, file_format: str) -> str:
        """Send a request, and return its id."""
        name = f"{len(self.requests):04d}.{'json' if file_format == 'graw' else 'h5'}"
        request = WriteRequest.model_validate(
            {"output_file": str(self._folder / name), "n_images": n_events, "format": file_format}
        )
        request_id = new_request_id()
        self.requests[request_id] = request
        for _ in range(_PUBLISH_ATTEMPTS):
            with suppress(BrokerError):
                self._publisher.publish(request, request_id=request_id, timeout_s=10.0)
                return request_id
            time.sleep(0.2)
        raise TimeoutError(f"the broker took no request in {_PUBLISH_ATTEMPTS} attempts")


class ChamberInChaos:
    """The chamber; a context manager.

    Parameters
    ----------
    folder, shm_dir
        For files, and for the ring.
    broker_url, tag
        The RabbitMQ, and the name of the chamber.
    seed
        What happens, and when.

    Attributes
    ----------
    happened
        How often what happened.
    verdicts
        How many requests ended how.
    """

    def __init__(self, folder: Path, shm_dir: Path, broker_url: str, tag: str, seed: int) -> None:
        self._choice = random.Random(seed)
        self._opened = ExitStack()
        self._folder, self._url = folder, broker_url
        self._exporters = LiveExporters(PERIOD_S)
        self._viewer = Viewer(folder)
        self._document: dict[str, Any] = {
            "detector_name": tag,
            "detector_type": "get-tpc",
            "exporters": self._exporters.addresses,
            "pads": {"geometry": "attpc"},
            "boards": ALL_BOARDS,
            "builder": {
                "time_limit_s": TIME_LIMIT_S, "ram_buffer_gb": 0.3, "keep_frames": True, "reconnect_s": 0.05,
            },
            "shared_memory": {"directory": str(shm_dir)},
            "writer": {
                "output_roots": [str(folder)], "first_image_timeout_s": 10.0, "image_timeout_s": 3.0, "min_free_gb": 0,
                "max_queued_requests": 9,
            },
            "services": {"event-analysis": {"workers": 2}},
            "viewer": {"url": self._viewer.url},
        }  # fmt: skip
        self._stopped: list[tuple[float, psutil.Process]] = []
        self.happened: Counter[str] = Counter()
        self.verdicts: Counter[Verdict] = Counter()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self._exporters)
            self._viewer.start()
            opened.callback(self._viewer.kill)
            self._line = opened.enter_context(Beamline(self._folder, self._url, self._document, "tpc.json"))
            opened.callback(self._go_on, until_s=float("inf"))
            self._ends = EndAccount(self._url)
            opened.callback(self._ends.finish)
            publisher = RequestPublisher(self._ends.listener.connection, self._document["detector_name"])
            self._requester = Requester(publisher, self._folder, random.Random(self._choice.random()), self._ends)
            opened.callback(self._requester.end)
            self._ring = RingAccount(self._line.config, self._exporters)
            opened.callback(self._ring.end)
            self._results = ResultsAccount(self._line.config)
            opened.callback(self._results.end)
            for follower in (self._ends, self._ring, self._results, self._requester):
                follower.start()
            self._exporters.start()
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    @property
    def n_events(self) -> int:
        """Events in the ring so far."""
        return len(self._ring.events)

    def live(self, seconds: float, longest_pause_s: float = 2.0) -> None:
        """Let things happen."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            time.sleep(self._choice.uniform(0.05, longest_pause_s))
            self._go_on(time.monotonic())
            self._happen()
            for follower in (self._ends, self._ring, self._results, self._requester):
                follower.check()

    def check_account(self) -> None:
        """Let all come back to life, and check the account of events, requests, results and frames."""
        self._heal()
        self._requester.end()
        self._requester.check()
        wait_until(lambda: not self._open_requests(), HEALED_S, lambda: f"no end of {self._open_requests()}")
        # Where the cores are busy, a simulated exporter can be later than the time limit: its boards are missing.
        wait_until(self._is_complete, HEALED_S, lambda: "no run is complete any more")
        self._exporters.stop()
        self._check_frames()
        self._check_results()
        self._ring.finish()
        for request_id, request in self._requester.requests.items():
            report = self._ends.report(request_id)
            self.verdicts[report.verdict] += 1
            assert report.verdict is not Verdict.REFUSED, report
            check_run(request, report, self._ring.events)

    def _is_complete(self) -> bool:
        """Have a run recorded; returns whether it is complete."""
        request_id = self._requester.request(30, "hdf5")
        wait_until(lambda: request_id in self._ends.ends, HEALED_S, lambda: f"no end of {request_id}")
        report = self._ends.report(request_id)
        assert report.verdict in {Verdict.COMPLETE, Verdict.INCOMPLETE}, report
        assert report.n_lost == 0, report
        return report.verdict is Verdict.COMPLETE

    # -- what happens

    def _happen(self) -> None:
        what = self._choice.randrange(20)
        if what < 9:
            self._strike(self._choice.choice(SERVICES))
        elif what < 11:
            self._strike("event-analysis", "std_event_analysis.worker")
        elif what < 12:
            self._strike("event-view", "viewer_client")
        elif what < 14:
            self._strike_viewer()
        elif what < 15:
            self.happened["a new run"] += 1
            self._exporters.begin_run()
        elif what < 17:
            self.happened["exporter killed"] += 1
            self._exporters.kill(self._choice)
        else:
            self._exporters.revive()

    def _strike(self, instance: str, child: str | None = None) -> None:
        """Kill, end or stop a service, or a process that it has started."""
        number = self._choice.choice(SIGNALS)
        with suppress(psutil.NoSuchProcess):
            struck = [self._process_of(instance)]
            if child is not None:
                struck = [one for parent in struck if parent for one in _children(parent, child)]
            for one in self._choice.sample(struck, min(1, len(struck))):
                if one is not None:
                    self.happened[f"{child or instance} {number.name}"] += 1
                    self._signal(one, number)

    def _strike_viewer(self) -> None:
        self.happened["viewer"] += 1
        if self._choice.random() < 0.5:
            self._viewer.kill()
            self._viewer.start()
        else:
            self._signal(psutil.Process(self._viewer.process.pid), signal.SIGSTOP)

    def _signal(self, process: psutil.Process, number: signal.Signals) -> None:
        process.send_signal(number)
        if number == signal.SIGSTOP:
            self._stopped.append((time.monotonic() + self._choice.uniform(0.2, 4.0), process))

    def _go_on(self, until_s: float) -> None:
        """Let those go on that were stopped until a time."""
        for due_s, process in self._stopped[:]:
            if due_s <= until_s:
                self._stopped.remove((due_s, process))
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    def _process_of(self, instance: str) -> psutil.Process | None:
        pids = [record.pid for record in read_records(self._line.config) if record.instance == instance]
        return psutil.Process(pids[0]) if pids else None

    # -- the account

    def _heal(self) -> None:
        self._go_on(float("inf"))
        self._exporters.revive()
        # A file of the viewer is read as one recording, and each start of the view begins another one.
        self._viewer.kill()
        self._viewer.start()

        def sick() -> list[str]:
            return [instance for instance in SERVICES if not self._scrape(instance).is_ready]

        wait_until(lambda: not sick(), HEALED_S, lambda: f"{sick()} are not ready any more")
        n_workers = self._document["services"]["event-analysis"]["workers"]
        wait_until(
            lambda: self._scrape("event-analysis").total("daq_analysis_workers") == n_workers,
            HEALED_S,
            lambda: "workers of the analysis are missing",
        )

    def _scrape(self, instance: str) -> Scrape:
        found = [record for record in read_records(self._line.config) if record.instance == instance]
        return scrape(found[0].socket) if found else Scrape(is_answering=False)

    def _open_requests(self) -> list[str]:
        return [request_id for request_id in self._requester.requests if request_id not in self._ends.ends]

    def _check_frames(self) -> None:
        """Check that each frame has an outcome, and that all that were used are in events."""

        def total(name: str) -> int:
            return int(self._scrape("event-builder").total(name))

        wait_until(lambda: not total("daq_builder_events_waiting"), HEALED_S, lambda: "events wait for ever")
        wait_until(lambda: total("daq_builder_frames_in_doubt") == 0, HEALED_S, lambda: "frames are in doubt for ever")

    def _check_results(self) -> None:
        """Check that each event has a result or is counted, and that the newest one is shown."""
        results = self._results

        def is_settled() -> bool:
            results.check()
            return results.adds_up(self.n_events)

        wait_until(is_settled, HEALED_S, lambda: results.describe(self.n_events))
        newest = self._ring.events[self.n_events - 1].key
        wait_until(
            lambda: self._viewer.newest == event_time(*newest),
            HEALED_S,
            lambda: f"{self._viewer.newest} is shown, not {newest}",
        )
        results.finish()

    def report(self, request_id: str) -> RunReport:
        """Return the report of a request."""
        return self._ends.report(request_id)


def _children(parent: psutil.Process, name: str) -> list[psutil.Process]:
    """Return the processes of a process in whose command is a name."""
    found = []
    for child in parent.children():
        with suppress(psutil.NoSuchProcess):
            if name in " ".join(child.cmdline()):
                found.append(child)
    return found


def main() -> int:
    """Run the chamber, print what happened, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        shm = Path(opened.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        broker = opened.enter_context(ThrowawayBroker())
        declare_exchanges(broker.url)
        chamber = opened.enter_context(ChamberInChaos(folder, shm, broker.url, "chamber", arguments.seed))
        chamber.live(arguments.seconds)
        chamber.check_account()
        sys.stdout.write(f"{chamber.n_events} events; {dict(chamber.verdicts)}; {dict(chamber.happened)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
