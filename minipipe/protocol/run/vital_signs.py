"""The vital signs of a worker: what it has counted, what it is at, how far it is, at one moment."""

from __future__ import annotations

from enum import IntEnum

from minipipe.protocol.delivery.paths import Leaf, Outputs
from minipipe.protocol.frozen import frozen

# What stands for one call of a functor: another one for each call, and it never comes back.
Call = tuple[int, ...]


class StartStage(IntEnum):
    """What a worker does on the way to its functor."""

    NO_PROCESS = 0
    FORKED = 1  # its stack can be asked for
    LOADING = 2  # unpickling its functor
    INITIALIZING = 3  # in the `worker_init` of its run
    OPENING = 4  # in its constructor, or its local_init
    PAST = 5  # none of these any more: it waits for others, or is at work


class EndStage(IntEnum):
    """How far a worker is on its way out."""

    AT_WORK = 0
    LEAVING = 1  # it has left its functor, or does so: what is open in that is closed
    SAVING = 2  # it is in its local_term
    ENDING = 3  # its process ends


class Activity(IntEnum):
    """What a worker's time goes to."""

    NONE = 0  # it has not begun, or is done
    OWN = 1  # MiniPipe itself: messages, encoding, decoding
    BUSY = 2  # in the user's code
    STARVED = 3  # it waits for input
    BLOCKED = 4  # it waits for room downstream, or until what it sent has been taken up


@frozen
class Usage:
    """What a worker's process takes of its machine."""

    cpu_s: float = 0.0  # of all its threads, and of children that it has waited for
    memory_bytes: int = 0  # of its own: without what lies in files and shared memory
    core_wait_s: float = 0.0  # its main thread was ready to run, and had no core


# As a call: a worker has not come out of its start.
STARTING: Call = ()


@frozen
class VitalSigns:
    """All that is known of a worker at one moment; items since its start."""

    items_in: int = 0
    items_out: int = 0
    dropped: int = 0
    confirmed: int = 0
    kept_items: int = 0
    kept_bytes: int = 0
    peak_items: int = 0
    peak_bytes: int = 0
    queued: int = 0
    parcels: int = 0
    bytes_in: int = 0  # of slots of shared memory all
    bytes_out: int = 0
    failed: int = 0  # calls of the functor, or items that could not be read or sent
    skipped: int = 0  # items: failures that the run goes on after, and poison
    # Its time since its work began, in nanoseconds, without what it is at now (`activity`, since).
    own_ns: int = 0
    busy_ns: int = 0
    starved_ns: int = 0
    blocked_ns: int = 0
    activity: int = 0
    since_ns: int = 0
    wakeups: int = 0  # of its main thread, when it waited
    messages_in: int = 0
    messages_out: int = 0
    cpu_ns: int = 0  # of its process, and the children that it has waited for; written at its end
    core_wait_ns: int = 0  # of its main thread, which was ready to run; written at its end
    staged_ns: int = 0  # copying to pinned memory, for a GPU; written at its end
    own_copies: int = 0  # 1: it uses CUDA, and not `minipipe.torch`; written at its end
    number: int | None = None  # of the item in its functor
    origin: int = 0  # the worker that numbered it
    beside: tuple[Leaf, ...] = ()  # items in its functor at the same time, in other threads
    outputs: Outputs = ()  # by which it came
    durations: tuple[int, ...] = ()  # how many calls took how long (`protocol.run.durations`)
    turns: int = 0  # how many parcels, or items, were taken into work: one more is another call
    is_in_functor: bool = False
    deaths: int = 0  # at the item in the functor, as far as it had heard when it began it
    start: StartStage = StartStage.NO_PROCESS
    end: EndStage = EndStage.AT_WORK

    def times_ns(self, now_ns: int) -> dict[Activity, int]:
        """What its time went to, up to now, in nanoseconds.

        Args:
            now_ns: `time.monotonic_ns()`.
        """
        times = {
            Activity.OWN: self.own_ns,
            Activity.BUSY: self.busy_ns,
            Activity.STARVED: self.starved_ns,
            Activity.BLOCKED: self.blocked_ns,
        }
        if self.activity:
            activity = Activity(self.activity)
            if activity is Activity.OWN and self.is_in_functor:  # a call that is not timed
                activity = Activity.BUSY
            times[activity] += max(0, now_ns - self.since_ns)
        return times

    @property
    def item(self) -> Leaf | None:
        """The identity of the item in its functor."""
        return None if self.number is None else (self.origin, self.number, self.outputs)
