"""What the supervisor does: the actions that `protocol.run.lifecycle` decides, carried out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.protocol.run import lifecycle as life
from minipipe.stream import names_of, records, wire
from minipipe.stream.link import Link
from minipipe.supervisor.letters_elsewhere import LettersElsewhere
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.suspect_files import SuspectFiles
from minipipe.supervisor.watchdog import Watchdog
from minipipe.supervisor.worker_messages import WorkerMessages
from minipipe.transport import Transport


class Effects:
    """Carries actions out: orders to workers, new workers, kills.

    Attributes:
        events: what follows from them, for the lifecycle.
        launched: every worker's process was asked for.
        suspect_files: of the items that workers have died of.
        letters: writes what workers elsewhere have kept of items.
        messages: makes events of what a new worker does; set before the first action.
        transport: where workers are bound; set before the first of them is.

    Args:
        run: the id of the run.
    """

    messages: WorkerMessages
    transport: Transport

    def __init__(self, run: int, processes: WorkerProcesses, watchdog: Watchdog) -> None:
        self.events: deque[life.Event] = deque()
        self._run = run
        self._processes = processes
        self._watchdog = watchdog
        self.launched = threading.Event()
        self.suspect_files = SuspectFiles(processes.graph)
        self.letters = LettersElsewhere(run, processes, self.suspect_files, self._kept)
        self._links = {ident: self._link() for ident in processes.handles}
        self._unsent: set[int] = set()  # workers that wait for orders, as sending has failed

    def _link(self) -> Link:
        return Link(wire.Writer(self._run, SUPERVISOR))

    def connect(self, worker: int) -> None:
        """Opens the link to a worker that is bound: before, its process may be started again."""
        if worker in self._links:  # else it was replaced: nothing more is sent to it
            self._links[worker].open(self._processes.controls.outlet(worker))

    def _kept(self, worker: int) -> None:
        """A worker elsewhere hears that what it has kept of an item is written."""
        if worker in self._links:  # else it was replaced
            self._send(worker, records.Kept())

    def failed(self, error: BaseException, doing: str) -> None:
        """Something of our own has failed: that ends the run as other failures do."""
        error.add_note(f"minipipe: in the supervisor, while {doing}")
        self.events.append(life.Broke(error))

    def attempt(self, doing: str, function: Callable[..., object], *arguments: Any) -> bool:
        """Whether it could be done; an error ends the run, not the thread that ends the run."""
        try:
            function(*arguments)
        except Exception as error:  # of any kind: workers that are well must save their work
            self.failed(error, doing)
            return False
        return True

    def carry_out(self, action: life.Action) -> bool:
        """Whether it could be done; if not, the rest has been decided, too."""
        doing = _DOING.get(type(action), "giving an order to a worker")
        return self.attempt(doing, self._carry_out, action)

    def retry(self) -> None:
        """Sends the orders that could not be sent, as that failed or there was no room."""
        self.attempt("giving orders to slow workers", self._processes.controls.flush)
        for worker in tuple(self._unsent):
            if self.attempt("giving an order to a worker again", self._links[worker].retry):
                self._unsent.discard(worker)

    def _carry_out(self, action: life.Action) -> None:
        match action:
            case life.SendInit(worker, peers, epochs, dead, suspects, workers, pass_):
                init = records.Init(epochs, dead, peers, suspects, workers, pass_)
                self._send(worker, init)
            case life.SendFence(worker, region, epoch, dead, receivers, crash_suspects):
                fence = records.Fence(region, epoch, dead, receivers, crash_suspects)
                self._send(worker, fence)
            case life.SetAside(item, segment):
                self.suspect_files.set_aside(item, segment)
            case life.Acquit(item, segment):
                self.suspect_files.acquit(item, segment)
            case life.Launch(worker):
                self._launch(worker)
            case life.Launched():
                self.launched.set()
            case life.Spawn(member, instead_of, is_additional):
                self._start(member, instead_of, is_additional=is_additional)
            case life.Dismiss(worker):
                self._bury(worker)
            case life.Inherit(worker, cause):
                self._start_again(worker, cause)
            case life.SendJoin(worker, peer):
                self._send(worker, records.Join(*peer))
            case life.SendCount(worker, segment, workers):
                self._send(worker, records.Count(segment, workers))
            case life.SendRetire(worker, producers):
                self._send(worker, records.Retire(producers))
            case life.SendRetiring(worker, consumer):
                self._send(worker, records.Retiring(consumer))
            case life.SendGone(worker, gone):
                self._send(worker, records.Gone(gone))
            case life.SendStart(worker, pass_):
                self._send(worker, records.Start(pass_))
            case life.SendAbandon(worker, pass_, regions, dead, suspects):
                self._send(worker, records.Abandon(pass_, regions, dead, suspects))
            case life.SendDrain(worker):
                self._send(worker, records.Drain())
            case life.SendLeave(worker):
                if self._is_caller(worker):  # it is no more than a loop that is not there
                    self.events.append(life.Done(worker))
                self._send(worker, records.Leave())
            case life.SendStop(worker, outcome):
                if self._is_caller(worker):  # it has nothing to save, and may never look
                    self.events.append(life.Done(worker))
                self._send(worker, records.Stop(outcome.value))
            case life.SendExit(worker):
                if self._is_caller(worker):
                    self.events.append(life.Died(worker, RuntimeError("left")))
                self._send(worker, records.Exit())
            case life.Kill(worker, hard):
                if self._is_caller(worker):
                    self.events.append(life.Died(worker, RuntimeError("left")))
                else:
                    self._processes.kill(worker, hard=hard)
            case _:
                pass  # it is for who observes

    def _launch(self, worker: int) -> None:
        """Asks for the process of a worker, at the start of the run."""
        try:
            for report in self._processes.launch(worker):
                self.events.extend(self.messages.of_process(report))
        except Exception as error:  # a StartError, or any other
            self.events.append(life.LaunchFailed(worker, error))

    def _start(self, member: life.Member, like: int, *, is_additional: bool) -> None:
        """Starts a worker in the place of a dead one, or an additional one like another one."""
        try:
            if not is_additional:
                self._bury(like)
            self._links[member.id] = self._link()
            processes = self._processes
            start = processes.add if is_additional else processes.replace
            for report in start(like, member):
                self.events.extend(self.messages.of_process(report))
            self._watchdog.joined(member.id)
        except Exception as error:  # a StartError, or any other: it will never say that it is bound
            doing = "starting an additional worker" if is_additional else _REPLACING
            error.add_note(f"minipipe: in the supervisor, while {doing}")
            self.events.append(life.Failed(member.id, error))
            self.events.append(life.Died(member.id, error))

    def _bury(self, dead: int) -> None:
        """Gives back what a worker had that is dead or gone; its counters are kept."""
        self._processes.dismiss(dead)
        self._watchdog.dismissed(dead)
        self._unsent.discard(dead)
        self._links.pop(dead).close()
        self._processes.controls.close(dead)  # its link was never opened, if it was never bound
        self._remove_sockets(dead)

    def _remove_sockets(self, dead: int) -> None:
        segment = self._processes.handles[dead].segment.index
        for name in names_of(dead, self._processes.graph.wiring(segment).outlets):
            self.transport.remove(name)

    def _start_again(self, worker: int, cause: BaseException) -> None:
        """Forks a worker from this process, as it could not load its functor."""
        try:
            self._remove_sockets(worker)
            for report in self._processes.inherit(worker, cause):
                self.events.extend(self.messages.of_process(report))
        except Exception as error:  # as above
            self.events.append(life.Failed(worker, error))
            self.events.append(life.Died(worker, error))

    def _is_caller(self, worker: int) -> bool:
        return self._processes.handles[worker].member.is_caller

    def _send(self, worker: int, record: NamedTuple) -> None:
        link = self._links[worker]
        link.add(record)
        self._unsent.add(worker)
        link.flush()
        self._unsent.discard(worker)


_REPLACING = "replacing a worker that had died"
_DOING: dict[type[life.Action], str] = {
    life.SetAside: "setting aside an item that workers have died of",
    life.Acquit: "removing what was kept of an item that a worker has died of",
    life.Kill: "killing a worker",
}
