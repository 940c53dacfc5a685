"""The start of a run and of replacements: from a process to a worker that may begin."""

from __future__ import annotations

from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.run.actions import (
    Action,
    Kill,
    Launch,
    Launched,
    LogLaterFailure,
    SendInit,
    SendJoin,
    SendStart,
    SendStop,
)
from minipipe.protocol.run.events import Outcome, Phase
from minipipe.protocol.run.filling import Filling
from minipipe.protocol.run.passes import start
from minipipe.protocol.run.run_state import RunState, WorkerState
from minipipe.protocol.run.scaling import counted

AT_ONCE = 16  # so many processes may be asked for that are not there yet


class Starting:
    """Decides what new workers, and the others about them, are told."""

    def __init__(self, run: RunState, filling: Filling) -> None:
        self._run, self._filling = run, filling

    def begin(self) -> list[Action]:
        """All workers are to get a process, but for the caller's loop, which has one."""
        for state in self._run.workers.values():
            state.unasked = not state.member.is_caller
        self._run.launching = True
        return self.launch()

    def launch(self) -> list[Action]:
        """Asks for some more processes; the others wait until some of these are there.

        (A host may take seconds for many, and wishes and deaths are not to wait for that.)
        """
        if not self._run.launching:
            return []
        workers = self._run.workers.values()
        unasked = [s for s in workers if s.unasked]
        under_way = sum(
            s.phase is Phase.STARTING
            and not (s.unasked or s.has_process or s.waits or s.member.is_caller)
            for s in workers
        )
        if not unasked:  # and none of those before has failed at once
            self._run.launching = False
            return [Launched()]
        some = unasked[: max(0, AT_ONCE - under_way)]
        for state in some:
            state.unasked = False
        return [Launch(s.member.id) for s in some]

    @property
    def deadline_s(self) -> float | None:
        """When it is to be looked whether all were asked for: at once after the last of them."""
        if self._run.launching and not any(s.unasked for s in self._run.workers.values()):
            return self._run.now_s
        return None

    def waits(self, worker: int, waits: bool) -> list[Action]:
        """A worker has no machine yet, or has one now: the run may begin without it, or not."""
        self._run.workers[worker].waits = waits
        return self._start_if_ready()

    def started(self, worker: int) -> None:
        """A worker has its process."""
        state = self._run.workers[worker]
        state.has_process, state.waits = True, False

    def bound(self, worker: int, address: str, host: str) -> list[Action]:
        """A worker's inbox has an address on its host: it is told of the others, and they of it."""
        state = self._run.workers[worker]
        if state.phase is not Phase.STARTING:
            return []
        state.phase, state.address, state.host = Phase.BOUND, address, host
        actions: list[Action] = [] if state.is_late else self._announce(state)
        if self._run.stopping:
            actions.append(SendStop(worker, self._run.outcome or Outcome.STOPPED))
        return actions

    def unloadable(self, worker: int, cause: BaseException) -> list[Action]:
        """A worker that cannot load its functor is killed, and started again by fork."""
        state = self._run.workers[worker]
        state.killed_at_s = self._run.now_s
        if self._run.stopping:
            return [LogLaterFailure(cause), Kill(worker)]
        state.unloadable = cause
        return [Kill(worker)]

    def wired(self, worker: int) -> list[Action]:
        """A worker is ready: the run starts when all are.

        One that is to be killed may say so before that reaches it.  Nobody is told of it: it would
        be sent items, and its end is no death that these are sent again for.
        """
        state = self._run.workers[worker]
        if state.phase is not Phase.BOUND or state.killed_at_s is not None:
            return []
        state.phase = Phase.WIRED
        if not state.is_late:
            return self._start_if_ready()
        actions = self._announce(state)  # ready only now, as its local_init may take long
        if not self._run.started:
            return actions + self._start_if_ready()
        # Of no pass that is not on: it would wait for items of that.
        state.passes_begun = self._run.pass_ + self._run.pass_is_on
        return [*actions, SendStart(worker, state.passes_begun - 1)]

    def _announce(self, state: WorkerState) -> list[Action]:
        """Tells a worker of the others, and them of it."""
        state.announced = True
        worker, new = state.member.id, self._peer(state)
        # FENCE goes to these, and to all others of its regions, and says who of them is dead.
        others = self._run.known_to(state)
        restarts = self._run.restarts
        init = SendInit(
            worker,
            # Nobody who leaves: it would be sent what it does not wait for.
            tuple(self._peer(s) for s in others if not s.is_retiring),
            restarts.epochs(r for r in state.member.regions if restarts.epoch(r)),
            tuple(restarts.dead),
            restarts.crash_suspects([state.member.segment]),
            self._run.counts_around(state),
            self._run.pass_,
        )
        joins = [SendJoin(s.member.id, new) for s in others]
        return [init, *counted(self._run, state), *joins]

    def _start_if_ready(self) -> list[Action]:
        if self._run.started or self._run.stopping:
            return []
        if not self._filling.can_begin:
            return []
        self._run.started = True
        fewer = self._filling.begin()
        return [*fewer, *(start(self._run) if self._run.pass_is_on else [])]

    @staticmethod
    def _peer(state: WorkerState) -> Peer:
        member = state.member
        return Peer(member.id, member.segment, state.address, state.host)
