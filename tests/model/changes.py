"""A run that changes while it runs: rules 22 to 28, over chains of regions, tried by chance.

They go on from the 21 rules of ARCHITECTURE.md, which has 22 to 25 too, without passes.

22. **Join.**  An additional worker joins as a replacement does (16), and no epoch changes.  INIT
    carries the pass.  A sender that hears of a new receiver sends it CLOSE of *the last pass that
    it has closed*, whichever it is in by now: an anchor is ahead of the supervisor by one.
    A receiver counts for the end of a pass from the moment it is announced.
23. **Leave.**  The supervisor tells one that is to leave who its producers are (RETIRE), and these
    that it leaves (RETIRING): they send it nothing more, and say so on the link of their items
    (LAST).  INIT names nobody who leaves.  It works off what it has.  When every producer has said
    LAST and it is idle, it says BYE on each of its links, its senders' included, since a DROPPED
    is as needed as an item; whoever reads BYE has taken up all before, and answers TAKEN.  When
    all have, it goes.  No epoch changes.
24. **Who leaves is a member until it has gone**: FENCE and JOIN go to it.  Its death is a death,
    but nobody replaces it.  The last of a segment does not leave.
25. **GONE** goes to all: it stands for LAST and TAKEN of one that left while another was leaving.
    Nothing of it is under way any more, so from then on its id is among those of the dead.
26. **The loss of a host** is one event: one FENCE with all dead, one epoch in each region that is
    hit, one restart of `max_restarts`.  It charges no item.
27. **Passes.**  Numbers run on.  CLOSE(pass, number) says that all below the number is settled (not
    that everything ever will be); CLOSE of another pass is dropped, and so is MARK.  A receiver
    that has ended a pass says DONE(pass) and is in the next one from then on.  When all that are
    announced are DONE(pass), Sources hear START(pass + 1); DONE of another pass is not counted.
28. **A pass left early.**  The epoch rises in *every* region, and all of it is one message to
    each: with it a member is in the next pass, its ledgers are emptied without sending again,
    its queues purged (also of what is confirmed), CLOSE forgotten.  Calls that run finish; at an
    anchor the result is thrown away, elsewhere it is of an old epoch.  Then rules 13 and 15
    suffice: nothing is sent before all receivers are in the next pass, so no START is needed.

Promised: at receivers with state, and at live function Sinks, each item at most once; of a pass
that is complete all; none in another pass than its own; in order where order is asked for; no
deadlock; who is to leave goes.  Credit, forks and byte budgets are not here (region.py has the
forks), and charges are known everywhere at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from minipipe.protocol.delivery.membership import SUPERVISOR
from tests.model.members import STATELESS
from tests.model.supervision import Supervision


class Run(Supervision):
    """One course of events, chosen by chance."""

    # ------------------------------------------------------------------ what may happen
    def steps(self) -> Iterator[tuple[Any, ...]]:
        for (source, target), queue in self.links.items():
            member = self.members.get(target)
            if member is None or member.known.born or queue[0][0] == "init":
                yield "arrive", source, target
        for member in self.members.values():
            if member.id not in self.silent:
                yield from member.steps()
        yield from (("announce", ident) for ident in self.starting)
        yield from (("notice", dead) for dead in self.unnoticed)
        yield from (("notice_gone", ident) for ident in self.exited)

    def arrive(self, source: int, target: int) -> None:
        queue = self.links[source, target]
        message = queue.pop(0)
        if not queue:
            del self.links[source, target]
        if target != SUPERVISOR:
            self.members[target].hear(source, message)
        elif message[0] == "done":
            self.hear_done(source, message[1])

    def _mortal(self) -> list[int]:
        return [
            i
            for i, m in self.members.items()
            if m.kind in "TF" and i not in self.silent | self.dead
        ]

    def change(self) -> None:
        """Something that nobody in the protocol decides: a death, a join, a break in the loop."""
        name = self.random.choice([name for name, left in self.budget.items() if left] or [""])
        mortal = self._mortal()
        idle = [i for i in self.announced if i in mortal and self.members[i].kind == STATELESS]
        staying = [i for i in idle if i not in self.leaving]
        if name == "kills" and mortal:
            self._kill((self.random.choice(mortal),))
        elif name == "hosts" and mortal:
            most = min(3, len(mortal))
            self._kill(tuple(self.random.sample(mortal, self.random.randint(min(2, most), most))))
        elif name == "falsely" and idle:
            self.unnoticed.append((self.random.choice(idle),))
            self.notice(self.unnoticed[-1])
        elif name == "joins":
            ends = ("T", "F", "K", "O")
            stages = [s for s, (kind, _) in enumerate(self.shape.stages) if kind in ends]
            self._make(self.random.choice(stages))
        elif name == "leaves" and staying:
            ident = self.random.choice(staying)
            colleagues = sum(self.stage_of[i] == self.stage_of[ident] for i in staying) - 1
            if not colleagues and not self.off("the last stays"):
                return
            self._leave(ident)
        elif name == "abandons" and self.pass_ < self.shape.passes:
            self.left_early.add(self.pass_)
            self.pass_ += 1
            self.done.clear()
            only_first = self.off("epochs in every region")
            self._fence([0] if only_first else list(range(self.regions)), self.pass_)
        else:
            return
        self.budget[name] -= 1

    def _kill(self, idents: tuple[int, ...]) -> None:
        for ident in idents:
            self._silence(ident)
            if self.members[ident].kind == "F":  # what it has done may be done again
                self.seen.setdefault(self.stage_of[ident], Counter()).subtract(
                    self.members[ident].got
                )
        self.unnoticed.append(idents)

    # ------------------------------------------------------------------ a whole course
    def go_on(self, most: int = 20_000) -> str:
        """One course of events, to its end; what was wrong with it, or nothing."""
        try:
            for _ in range(most):
                if self.random.random() < self.shape.rate:
                    self.change()
                steps = list(self.steps())
                if not steps:
                    break
                name, *arguments = self.random.choice(steps)
                if hasattr(self, name):
                    getattr(self, name)(*arguments)
                else:
                    getattr(self.members[arguments[0]], name)(*arguments[1:])
            assert self.pass_ == self.shape.passes, "a deadlock"
            assert not self.leaving, f"{self.leaving} cannot leave"
            self._check_end()
        except (AssertionError, ValueError) as error:  # ValueError: a ledger's, of a number
            return str(error)
        return ""

    def _check_end(self) -> None:
        sources = self.shape.stages[0][1]
        assert sources == 1, "values are by the one Source"
        for pass_ in {*range(self.shape.passes)} - self.left_early:
            values = {(pass_, item) for item in range(self.shape.items)}
            lost = values - self.ever - self.dropped
            assert not lost, f"lost: {lost}"
