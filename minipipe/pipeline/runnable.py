"""What PipeLine and PipeSystem have in common: build, run, close; loops over the output."""

from __future__ import annotations

import os
import random
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, cast

from minipipe.errors import LifecycleError, reject_unknown
from minipipe.pipeline.dead_letter_files import tell_letters_of_before
from minipipe.pipeline.execution import PassExecution, check_has_output
from minipipe.pipeline.executions import execution_of
from minipipe.pipeline.inside import check_outside
from minipipe.pipeline.loop import Loop
from minipipe.pipeline.persistent import check_same, end_with
from minipipe.pipeline.resumable import Resumable
from minipipe.pipeline.with_block import end_of_block
from minipipe.process.importing import check_no_import
from minipipe.supervisor.hosting import HOSTING_OPTIONS, Ship
from minipipe.supervisor.hosting_notes import note_next_pass
from minipipe.supervisor.run_options import RUN_OPTIONS, run_options

GRACE_S = 10.0


class Runnable(Resumable):
    """A pipeline that can be built, run and closed, whatever it was declared as."""

    def __init__(self, *, persistent: bool = False) -> None:
        super().__init__(persistent=persistent)
        self._ident = random.SystemRandom().getrandbits(62)  # copies of it have the same
        # Weak: a loop that nobody holds any more has been left, and stops its run.
        self._loop: weakref.ref[Loop] | None = None

    def _before_build(self) -> None:
        self._wait_if_left()
        self._check_not_running("build()")
        self._execution = self._loop = None

    def reset(self) -> None:
        """Back to built: forgets the last run and its results, clears all term flags.

        Raises:
            LifecycleError: it runs.
        """
        self._wait_if_left()
        self._check_not_running("reset()")
        self._execution = self._loop = None
        for segment in self.pipes:
            segment.reset()

    # --------------------------------------------------------------- running
    def run(
        self,
        *,
        grace_s: float = GRACE_S,
        seed: int | None = None,
        shared_bytes: int | None = None,
        preload: Sequence[str] | bool = True,
        progress: bool | None = None,
        metrics_port: int | None = None,
        trace: str | os.PathLike[str] | bool | None = None,
        worker_init: Callable[[], object] | None = None,
        bind: str | None = None,
        name: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        keys: str | os.PathLike[str] | None = None,
        place_timeout_s: float | None = None,
        lost_after_s: float = 15.0,
        state_lost_after_s: float = 300.0,
        security: str = "curve",
        ship: Ship = True,
        allow_pickle: bool = False,
        **unknown: Any,
    ) -> Self:
        """Starts a pass, building first if need be; returns the pipeline.

        If it is persistent, and runs: begins the next pass when the one before has ended, with
        the same workers, and the same options.

        Args:
            grace_s: seconds that `local_term` of healthy workers may take after a stop.
            seed: what functors draw follows from it, item by item (README); None: drawn anew.
            shared_bytes: what arrays in shared memory may come to, in all workers together;
                beyond that they travel inside messages.  None: a quarter of the memory of the
                machine, or of the container; 0: none.
            progress: show how far the run is: on a terminal a live view (extra `progress`), else a
                line of the log every 10 s.  None: only where stderr is a terminal.
            metrics_port: where Prometheus finds the counters of this run, on loopback (extra
                `metrics`); 0: any free port, which the log names.
            trace: a file that says at the end what every worker did when, in Chrome's format
                (ui.perfetto.dev shows it); True: no file, but `report()` has that timeline.
            worker_init: is called once in each worker's process, replacements included, before
                its functor is made (inline: once, in this process): for settings of modules, say,
                that workers do not have from the script.
            preload: modules, as in `["torch"]`, that are imported once for all workers, beside
                what functors import of packages.  False: each worker imports what it needs.
            bind: lets other machines join, at this address, as "tcp://0.0.0.0:7711": prints the
                line to paste there, `minipipe agent --join TOKEN`.  What follows goes with it.
            name: of the run, where it is listed (default: the script's).
            token_file: a file for the token (see `token`), which only its owner can read.
            keys: a file of `minipipe keys`, where the token has to be there before the run.
            place_timeout_s: then workers that may run anywhere start here although no core is
                free, and those of a tag that no machine has end the run.  None: they wait for ever.
            lost_after_s: a machine that is silent for so long is lost, as if its workers had died.
            state_lost_after_s: the same of one whose workers have state, which would end the run.
            security: "curve" (encrypted, by the token alone), or "none": for networks of trust.
            ship: modules of yours that functors need are sent along.  False: none; a list: names
                of modules, and paths, that go beside them.
            allow_pickle: items without a native form cross as pickles, which agents then load.

        Raises:
            LifecycleError: it runs already.
            BuildError: it cannot run as declared.
            StartError: its processes cannot be started.
            StateError: `load_state_dict` has given a state, which does not go with these options.
            Exception: of a persistent one, what has ended the pass before.
        """
        reject_unknown(unknown, RUN_OPTIONS, "run")
        check_outside(self._ident, self._execution, "run()")
        seen: dict[str, Any] = {"progress": progress, "metrics_port": metrics_port, "trace": trace}
        about = (grace_s, seed, shared_bytes, preload)
        given = (bind, name, token_file, keys, place_timeout_s, lost_after_s, state_lost_after_s)
        values = (*given, security, ship, allow_pickle)
        machines = dict(zip(HOSTING_OPTIONS, values, strict=True))
        options = run_options(*about, **seen, worker_init=worker_init, machines=machines)
        check_no_import()
        self._wait_if_left()
        if self.persistent and self._running():
            check_same(self._options, options, run_options(GRACE_S, None, None, True))
            self._next_pass(to_read=False)
            return self
        self._check_not_running("run()")
        if self._graph is None:
            self.build()
        assert self._graph is not None
        if self._execution is not None:
            self.reset()
        self._before_run()
        tell_letters_of_before(self.pipes)
        options = replace(self._going_on(options), persistent=self.persistent)
        self._options = options
        # Known at once: somebody may stop it before all its processes were asked for.
        self._execution = execution_of(
            self._graph, self._ignored, options, inline=self._inline, pipeline=self._ident
        )
        try:
            self._execution.start()
        except BaseException:
            self._execution = None
            raise
        self._resumed = None
        end_with(self, self._execution)
        return self

    def _next_pass(self, *, to_read: bool) -> None:
        """If it is persistent: begins the next pass, if there is none to be read."""
        if self.persistent:
            cast("PassExecution", self._execution).next_pass(to_read=to_read)

    def wait(self, timeout_s: float | None = None, **unknown: Any) -> Self:
        """Waits for the end of the pass; its workers stay, if the pipeline is persistent.

        Raises:
            LifecycleError: there was no `run()`, or nobody reads what the pipeline puts out.
            RunTimeoutError: it has not ended within `timeout_s`; it goes on.
            Exception: what ended the run: a functor's exception, or `WorkerDiedError`.
        """
        reject_unknown(unknown, ("timeout_s",), "wait")
        check_outside(self._ident, self._execution, "wait()")
        if self._execution is None:
            raise LifecycleError(f"wait() of a pipeline that is {self._state()}: call run() first")
        if self.persistent:
            cast("PassExecution", self._execution).wait_pass(timeout_s)
        else:
            self._execution.close(timeout_s)
        return self

    def close(self, timeout_s: float | None = None, **unknown: Any) -> dict[str, Any]:
        """Waits for the end of the run; returns what the workers' `local_term` returned.

        Raises:
            LifecycleError: there was no `run()`, or nobody reads what the pipeline puts out.
            RunTimeoutError: it has not ended within `timeout_s`; it goes on.
            Exception: what ended the run: a functor's exception, or `WorkerDiedError`.
        """
        __tracebackhide__ = True  # in a notebook, and by pytest
        reject_unknown(unknown, ("timeout_s",), "close")
        check_outside(self._ident, self._execution, "close()")
        if self._execution is None:
            raise LifecycleError(f"close() of a pipeline that is {self._state()}: call run() first")
        return self._execution.close(timeout_s)

    def stop(self, drain: bool = False, **unknown: Any) -> None:
        """Ends the run early, from anywhere, also a signal handler; does not wait (close does).

        Args:
            drain: let what the sources have yielded so far go through to the end (what goes
                round in a loop for ever has no end: stop that without).
        """
        reject_unknown(unknown, ("drain",), "stop")
        check_outside(self._ident, self._execution, "stop()")
        if self._execution is not None and not self._execution.ended:
            self._execution.stop(drain=drain, wait=False)

    def __iter__(self) -> Loop:
        check_outside(self._ident, self._execution, "a loop over the output")
        if self._graph is None:
            self.build()
        assert self._graph is not None
        check_has_output(self._graph)
        self._wait_if_left()
        if self._running():
            made = None if self._loop is None else self._loop()
            if made is not None and not made.is_over:
                raise LifecycleError(
                    "a loop over this pipeline is going on: its items go to one loop only "
                    "(leave that one first, or make a second pipeline)"
                )
        else:
            note_next_pass(self._options)
            self.run()
        assert self._execution is not None
        self._next_pass(to_read=True)
        loop = Loop(self._execution, self)
        self._loop = weakref.ref(loop)
        return loop

    def loop(self, pass_: int, seed: int | None) -> Loop:
        """For loaders: the loop over the next pass; if nothing runs, with this number and seed.

        Raises: as `run`, and a loop over the pipeline.
        """
        check_outside(self._ident, self._execution, "a loop over the output")
        self._wait_if_left()
        if not self._running():
            if pass_ and self._resumed is None:
                self.begin_at(pass_)
            self.run(seed=seed)
        return iter(self)

    def __enter__(self) -> Self:
        return self.run()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._execution is not None:
            end_of_block(self._execution, self._loop, error)

    def _check_not_running(self, call: str) -> None:
        if self._running():
            assert self._execution is not None
            since = time.strftime("%H:%M:%S", time.localtime(self._execution.began_at))
            raise LifecycleError(
                f"{call} while the pipeline is running since {since}: call close() to wait for "
                "its end, or stop()"
            )

    def __repr__(self) -> str:
        names = ", ".join(segment.name for segment in self.pipes)
        return f"<{type(self).__name__} {names or '(empty)'}: {self._state()}>"
