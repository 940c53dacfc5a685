"""A worker's life, from its inbox to its last word."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from minipipe.codec import classes, registry
from minipipe.errors import MiniPipeError
from minipipe.operators.skipping import Tolerance
from minipipe.process.importing import importing_for_worker
from minipipe.process.platforms import check_processes_work_here
from minipipe.process.seeds import current
from minipipe.process.worker_info import enter_pipeline, set_worker_info
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.item_seeds import FIRST_PASS, TERM
from minipipe.protocol.run.vital_signs import EndStage, StartStage
from minipipe.segments.functor import Opened
from minipipe.shm.arrays import set_pool
from minipipe.stream import Node, StopRun, records
from minipipe.stream.memory import Memory
from minipipe.stream.page import Page
from minipipe.transport import NATIVE, ControlInbox, open_transport
from minipipe.worker import failure_forms, returned
from minipipe.worker.bundles import BundleLoop
from minipipe.worker.failure import CLOSING, RETURNING, TERMINATING, Failure, capture
from minipipe.worker.fast_path import LineLoop
from minipipe.worker.functor_runner import FunctorRunner
from minipipe.worker.general import GeneralLoop
from minipipe.worker.hooks import hooks_of
from minipipe.worker.missing_modules import remember_host
from minipipe.worker.passes import go_through_pass, go_through_passes
from minipipe.worker.seeding import seed_worker
from minipipe.worker.service_thread import ServiceThread
from minipipe.worker.skipped_items import DeadLetterWriter
from minipipe.worker.skipping import Broken
from minipipe.worker.source import SourceLoop
from minipipe.worker.spec import Task, WorkerSpec
from minipipe.worker.threaded import ThreadedLoop
from minipipe.worker.threaded_bundles import bundle_loop
from minipipe.worker.trace import begin_trace, send_spans

# A stop that comes between local_init and the call of it is tried again after so long, so often.
AGAIN_S, TRIES = 0.02, 50
_FINAL = (MiniPipeError, MemoryError)

Loop = SourceLoop | LineLoop | BundleLoop | ThreadedLoop | GeneralLoop

# What the user has declared: unpickled, or inherited, in the worker.
Load = Callable[[], Task]


def work(spec: WorkerSpec, load: Load, page: Page, control: int) -> None:
    """Lives the worker's life; returns when the supervisor has said that it may exit.

    Args:
        control: the descriptor that the supervisor's orders come by.
    """
    enter_pipeline(spec.pipeline)
    if spec.host != LOCAL_HOST:
        remember_host(spec.host, spec.shipped)
    transport = open_transport(spec.base, trust=NATIVE if spec.plain else None)
    memory = Memory(spec.shared_bytes)
    node = Node(
        run=spec.run,
        ident=spec.ident,
        wiring=spec.wiring,
        transport=transport,
        supervisor=spec.supervisor,
        page=page,
        memory=memory,
        control=ControlInbox(control),
        host=spec.host,
        gateway=spec.gateway,
    )
    node.parcel_decoder.may_import(frozenset(spec.importable))
    classes.know_script(spec.script)
    if node.memory.lender is not None:
        log = records.Log(logging.WARNING, spec.barred, once=True)
        node.memory.lender.on_barred = lambda: node.report(log)
    begin_trace(spec, node)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=node.time_use.leave_to_parent)
    set_pool(memory.pool)  # where `mp.empty` makes its arrays
    service_thread = ServiceThread(node)
    service_thread.start()
    try:
        WorkerMain(spec, node, service_thread).live(load)
        node.block(lambda: node.orders.exiting, to_the_end=True)
    finally:
        service_thread.stop()
        # EXIT comes when everybody is done, or has been stopped: what is still under way is for
        # nobody, and its reader may be gone.
        transport.close(linger_s=0.0)


class _Unloadable(Broken):
    """The functor, as it was pickled, cannot be loaded here."""


class WorkerMain:
    """One worker between birth and exit."""

    def __init__(self, spec: WorkerSpec, node: Node, service_thread: ServiceThread) -> None:
        self.spec = spec
        self.node = node
        self._bound = False
        where = f"{spec.kind} {spec.segment!r}"
        self.runner = FunctorRunner(node, service_thread, where, hooks_of(spec))
        self.info = spec.info

    def live(self, load: Load) -> None:
        node = self.node
        self._interrupt_on_stop()
        opened: Opened | None = None
        try:
            self._prepare(check_processes_work_here, "its start", StartStage.FORKED)
            # Before anybody knows of it: if it cannot be loaded, it is started in another way.
            task = self._load(load)
            self._bind()
            if not self.spec.is_late:
                node.block(lambda: node.membership.born)
            opened = self._open(task)
            if self.runner.service_thread.failure is not None:  # what it met while local_init ran
                raise self.runner.service_thread.failure
            node.report(records.Wired())
            loop, orders = self._loop(task, opened), node.orders
            node.block(lambda: node.membership.born and (orders.started or orders.leaving))
            if self.spec.persistent:
                go_through_passes(self.runner, loop, self.info)
            else:
                go_through_pass(loop, self.info, orders.pass_)
            node.time_use.end()
            self._log("End of stream")
        except StopRun:
            node.page.stage = EndStage.LEAVING
            self.node.handover.leave()  # local_term runs also then
        except _Unloadable as unloadable:
            self.node.handover.leave()
            report = failure_forms.write(unloadable.failure, node.inbox.trust)
            node.report(records.Unloadable(report))
            return
        except Broken as broken:
            self.node.handover.leave()
            self._bind()  # so that it can be told to exit
            self._fail(broken.failure, opened)
            return
        except Exception as error:  # a mistake of our own: told like the user's, not as a death
            self.node.handover.leave()
            self._fail(capture(error, "MiniPipe itself, at work"), opened)
            return
        self._terminate(opened)

    def _bind(self) -> None:
        if not self._bound:
            self._bound = True
            self.node.report(records.Bound(self.node.inbox.address))

    def _log(self, text: str) -> None:
        self.node.report(records.Log(logging.INFO, f"{self.spec.name}: {text}"))

    def _interrupt_on_stop(self) -> None:
        """Lets a stop reach the main thread in the functor, as Ctrl-C would in a plain script."""
        runner, node = self.runner, self.node
        main = threading.get_ident()

        def on_stop() -> None:
            if runner.interruptible and threading.get_ident() != main:
                signal.pthread_kill(main, signal.SIGINT)

        tries = 0

        def on_signal(number: int, frame: FrameType | None) -> None:
            nonlocal tries
            in_functor = runner.interruptible and node.handover.in_user_code
            if node.orders.stopped is None or not in_functor:
                return
            if node.page.start == StartStage.OPENING and _is_ours(frame) and tries < TRIES:
                # local_init is over, most likely, and what it has opened is about to be known:
                # stopped here, local_term would not run.
                tries += 1
                threading.Timer(AGAIN_S, on_stop).start()
                return
            node.page.stage = EndStage.LEAVING  # seen by the supervisor: it is no deaf one
            raise StopRun

        signal.signal(signal.SIGINT, on_signal)
        node.orders.on_stop = on_stop

    def _load(self, load: Load) -> Task:
        set_worker_info(self.info)
        seed_worker(self.spec)
        try:
            with importing_for_worker():
                task: Task = self._prepare(load, "loading its functor", StartStage.LOADING)
        except Broken as broken:
            cause = broken.__cause__
            # What no other way of starting would mend is told as it is.  (Another host inherits
            # nothing, and there it is most likely a module that is missing.)
            is_last = self.spec.is_late or self.spec.host != LOCAL_HOST
            if is_last or not isinstance(cause, Exception) or isinstance(cause, _FINAL):
                raise
            raise _Unloadable(broken.failure) from cause
        if self.spec.wiring.inlets:
            registry.expect(task.functor)
        skipping, spec = self.runner.skipping, self.spec
        skipping.tolerance = Tolerance(task.ignored, task.tolerates, task.dead_letter is not None)
        skipping.dead_letters = DeadLetterWriter(
            self.node,
            task.dead_letter,
            spec.segment,
            spec.name,
            spec.names,
            spec.directory,
            is_here=spec.host == LOCAL_HOST,
        )
        return task

    def _open(self, task: Task) -> Opened:
        if task.worker_init is not None:
            self._prepare(task.worker_init, "its worker_init", StartStage.INITIALIZING)
        seed_worker(self.spec)  # once more: libraries may have been imported just now
        opened: Opened = self._prepare(
            lambda: Opened.open(task.functor, task.init_kwargs),
            "its local_init",
            StartStage.OPENING,
        )
        return opened

    def _prepare(self, function: Callable[[], Any], doing: str, stage: StartStage) -> Any:
        self.node.page.start = stage
        try:
            return self.runner.calls.outside(function)
        except StopRun:
            raise
        except BaseException as error:
            self.runner.leave_if_forked(error)
            raise Broken(capture(error, doing)) from error
        finally:
            self.node.page.start = StartStage.PAST

    def _loop(self, task: Task, opened: Opened) -> Loop:
        wiring, kind = self.spec.wiring, self.spec.kind
        if kind == "source":
            return SourceLoop(self.runner, task, opened, self.spec.share, self.spec.skip)
        if any(inlet.bundling is not None for inlet in wiring.inlets):
            return bundle_loop(self.runner, task, opened, self.spec)
        simple = kind in ("transform", "sink") and task.term_flag is None and not wiring.in_loop
        simple = simple and not (wiring.tombstone_groups or wiring.carries_tombstones)
        if task.threads > 1:
            return ThreadedLoop(self.runner, task, opened, self.spec)
        if simple and len(wiring.inlets) == 1 and len(wiring.outlets) <= 1:
            return LineLoop(self.runner, opened)
        return GeneralLoop(self.runner, task, opened, regulates=kind == "regulator")

    def _terminate(self, opened: Opened | None) -> None:
        self.runner.interruptible = False
        self.node.page.stage = EndStage.LEAVING
        try:
            self.runner.calls.outside(self.runner.leave)
        except BaseException as error:
            self._fail(capture(error, CLOSING))
            return
        self.info.outcome = self.node.orders.stopped or "finished"
        report = b""
        if opened is not None and opened.local_term is not None:
            doing = TERMINATING
            self.node.page.stage = EndStage.SAVING
            current().begin_pass(FIRST_PASS)
            current().begin_outside(TERM)
            try:
                result = self.runner.calls.outside(opened.local_term)
                doing = RETURNING
                report = returned.write(result, self.node.inbox.trust)
            except BaseException as error:
                self.runner.leave_if_forked(error)
                self._fail(capture(error, doing))
                return
        if opened is not None:
            self._log("Local termination")
        self.node.publish()
        send_spans(self.spec, self.node)
        self.node.report(records.Done(report))

    def _fail(self, failure: Failure, opened: Opened | None = None) -> None:
        if opened is not None:
            opened.release()
        report = failure_forms.write(failure, self.node.inbox.trust)
        send_spans(self.spec, self.node)
        self.node.report(records.Failed(report))


def _is_ours(frame: FrameType | None) -> bool:
    """Whether what a signal has interrupted is this package's code, not the user's below it."""
    return frame is not None and str(frame.f_globals.get("__name__")).startswith("minipipe.")
