"""A seat: one place to fit, with a warm server of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from automl.engine.isolation.errand import Errand, Job, OnReport
from automl.engine.isolation.outcome import Limits, Outcome
from automl.engine.isolation.ticker import TICK_SECONDS, OnTick, Ticker
from automl.engine.isolation.warm import ServerGone, WarmServer

NO_LIMITS = Limits()


class Seat:
    """Runs jobs one after the other, each in a process of its own that can be stopped at any point.

    A server process imports the heavy libraries once; every job is a fork of it, which costs
    milliseconds. The fork dies with the server, and the server with the process that made the
    seat, also when that one is killed outright.

    Parameters
    ----------
    threads : int
        What the numeric libraries may use in a job.
    preload : bool
        Import the heavy libraries before the first job.

    Examples
    --------
    >>> with Seat(preload=False) as seat:
    ...     seat.run("automl.engine.isolation.seat:echo", {"said": "hello"}).result
    {'said': 'hello'}
    """

    def __init__(self, *, threads: int = 1, preload: bool = True) -> None:
        self._threads = threads
        self._preload = preload
        self._server: WarmServer | None = None
        self._in_use = threading.Lock()
        self._ticking = ThreadPoolExecutor(1, thread_name_prefix="tick")

    def __enter__(self) -> Seat:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def server_pid(self) -> int | None:
        """The warm server's process, if one was started."""
        return self._server.pid if self._server else None

    def start(self) -> None:
        """Start the server if there is none; returns at once, the imports go on in it."""
        if self._server is not None and not self._server.is_alive:
            self._drop()
        if self._server is None:
            self._server = WarmServer(threads=self._threads, preload=self._preload)

    def warm_up(self, on_tick: OnTick | None = None) -> bool:
        """Start the server and wait for its imports; tell whether it is ready.

        Parameters
        ----------
        on_tick : callable, optional
            Called with the seconds waited about four times a second; False ends the waiting.
        """
        with self._alone():
            try:
                return self._warm_server(on_tick) is not None
            except ServerGone:
                self._drop()
                return False

    def run(
        self,
        job: str,
        args: dict[str, Any],
        *,
        limits: Limits = NO_LIMITS,
        on_report: OnReport | None = None,
        on_tick: OnTick | None = None,
    ) -> Outcome:
        """Run a job and wait for it.

        Parameters
        ----------
        job : str
            ``"module:function"``; the function is called with `args` and with a function that
            sends a report and gives back the answer, and returns a dict. All of it is JSON.
        args : dict
        limits : Limits
        on_report : callable, optional
            Gets each report; its answer, ``"go"`` or ``"stop"``, goes to the job.
        on_tick : callable, optional
            Called with the seconds since the start about four times a second, also while the
            server is still warming up. When it answers False the job is killed at once.

        Returns
        -------
        Outcome
            Whatever happens to the job is an outcome; only what `on_report` and `on_tick` raise
            comes through, after the job was killed.
        """
        wanted = Job(job, args, limits, on_report, on_tick)
        with self._alone():
            for last_try in (False, True):
                errand = None
                try:
                    server = self._warm_server(on_tick)
                    if server is None:
                        return Outcome("cancelled", error="Cancelled.")
                    errand = Errand(server, wanted, Ticker(self._ticking, on_tick))
                    return errand.run()
                except ServerGone as gone:
                    self._drop()
                    # A job that had begun may have left traces: it is not ours to run it twice.
                    if last_try or (errand is not None and errand.pid is not None):
                        sentence = f"The fit was lost: {gone}; it can be tried again."
                        return Outcome("crashed", error=sentence, lost=True)
        raise AssertionError("the second try returns")

    def close(self) -> None:
        """End the server, and a running job with it."""
        self._drop()
        self._ticking.shutdown(wait=False)
        self._ticking = ThreadPoolExecutor(1, thread_name_prefix="tick")

    def _warm_server(self, on_tick: OnTick | None) -> WarmServer | None:
        """Give the server once it is ready; None when cancelled before."""
        self.start()
        server = self._server
        assert server is not None
        waited = 0.0
        while not server.wait_until_ready(TICK_SECONDS):
            waited += TICK_SECONDS
            if on_tick is not None and not on_tick(waited):
                return None
        return server

    def _drop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError(f"This seat is in use by another thread of process {os.getpid()}.")
        try:
            yield
        finally:
            self._in_use.release()


def echo(args: dict[str, Any], report: Any) -> dict[str, Any]:
    """Do nothing and give back what came: the job that shows what a job costs."""
    return args
