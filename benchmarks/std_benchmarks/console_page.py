"""The page with live images of 4 Mpixel at ten a second: whether it stays fluent in a browser.

*Ours* is the page in Debian's Chromium, without a window and without a graphics card, while a camera publishes ten
images a second and the mouse moves over the image. It runs beside the console and the camera on the same cores. The
*reference* is the same page with the same mouse while no image comes.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import numpy as np

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.viewing.camera import Camera
from std_benchmarks.viewing.console import NAME, ConsoleProcess
from std_benchmarks.viewing.window import Noted, Window

RATE_HZ = 10.0
SECONDS = 6.0
_MOVES_HZ = 20.0


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the frames of animation a second, the longest task, and how soon the page answers the mouse."""
    frames, idle_frames, longest, answers, idle_answers, rates, shares = [], [], [], [], [], [], []
    with ExitStack() as stack:
        camera = stack.enter_context(closing(Camera(setting.shm / f"{NAME}-images")))
        console = stack.enter_context(closing(ConsoleProcess(setting.folder / "console", setting.shm)))
        console.wait_ready()
        window = stack.enter_context(closing(Window(console.page)))
        with _sending(camera):
            window.wait_live()
        for turn in range(setting.repeats + 1):
            setting.progress(f"turn {turn} of {setting.repeats}")
            idle, idle_answer = _use(window)
            with _sending(camera):
                time.sleep(0.5)
                noted, answer = _use(window)
                state = window.state()
            if turn == 0:
                continue
            frames.append(noted.n_frames / SECONDS)
            idle_frames.append(idle.n_frames / SECONDS)
            longest.append(max(noted.long_tasks_ms, default=0.0))
            shares.append(sum(noted.long_tasks_ms) / (1e3 * SECONDS))
            answers.append(answer)
            idle_answers.append(idle_answer)
            rates.append(_rate_of(state))
    words = f"4 Mpixel, {RATE_HZ:g} images/s"
    yield Figure(f"{words}, images shown", "1/s", rates, target=Target.at_least(0.9 * RATE_HZ))
    yield Figure(f"{words}, frames of animation", "1/s", frames, "no image comes", idle_frames)
    share = {"share_of_time_in_long_tasks": round(float(np.median(shares)), 4)}
    yield Figure(f"{words}, longest task of the page", "ms", longest, target=Target.at_most(100.0), details=share)
    yield Figure(f"{words}, answer to the mouse, 95 %", "ms", answers, "no image comes", idle_answers)


@contextmanager
def _sending(camera: Camera) -> Iterator[None]:
    """Publish images while the context lasts."""
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            camera.send(round(RATE_HZ / 2), RATE_HZ)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _use(window: Window) -> tuple[Noted, float]:
    """Move the mouse for some time; returns what the page did, and how soon 95 % of the moves were answered, in ms."""
    window.take()
    n_moves = round(_MOVES_HZ * SECONDS)
    began = time.perf_counter()
    took_ms = []
    for move in range(n_moves):
        time.sleep(max(0.0, began + move / _MOVES_HZ - time.perf_counter()))
        moved = time.perf_counter()
        window.move_mouse(move / n_moves)
        took_ms.append(1e3 * (time.perf_counter() - moved))
    time.sleep(max(0.0, began + SECONDS - time.perf_counter()))
    return window.take(), float(np.percentile(took_ms, 95))


def _rate_of(state: str) -> float:
    """Return the images a second of ``live · 9.8 images/s``; 0 if the page tells none."""
    found = re.search(r"([\d.]+) images/s", state)
    return float(found[1]) if found else 0.0
