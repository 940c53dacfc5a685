"""What the user wishes of one run: the options of `run`, and which values they can have."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

from minipipe.errors import OptionError
from minipipe.observe.trace_wish import check_trace
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.beginning import Beginning
from minipipe.segments.options import check_seed
from minipipe.segments.worker_init import WorkerInit, check_worker_init
from minipipe.supervisor.hosting import DEFAULTS, HOSTING_OPTIONS, Hosting, check_hosting

PORTS = range(1 << 16)


@frozen
class RunOptions:
    """The options of `run`, checked.

    Attributes:
        grace_s: how long the `local_term` of a healthy worker may take after a stop.
        seed: what functors draw at random follows from it; None: nothing that was asked for.
        shared_bytes: what arrays in shared memory may come to; None: a quarter of the memory of
            the machine, or of the container.
        preload: modules that workers find imported, beside those that functors name; None: not
            even those.
        metrics_port: where Prometheus finds the counters of the run; None: nowhere; 0: any port.
        progress: whether it is shown how far the run is; None: if there is a terminal for it.
        trace: the file that says what every worker did when; True: only `report()` does.
        worker_init: is called in each worker's process before its functor is made; None: nothing.
        hosting: what is wished of other machines; None: none can join.
        persistent: workers stay for more passes over the data.
        begins: where it goes on, if that is not at the beginning.
    """

    grace_s: float
    seed: int | None = None
    shared_bytes: int | None = None
    preload: tuple[str, ...] | None = ()
    progress: bool | None = None
    metrics_port: int | None = None
    trace: str | bool = False
    worker_init: WorkerInit | None = None
    hosting: Hosting | None = None
    persistent: bool = False
    begins: Beginning = field(default_factory=Beginning)

    @property
    def is_plain(self) -> bool:
        """Whether all that workers send has the native form, as some of it may go elsewhere."""
        return self.hosting is not None and not self.hosting.allow_pickle

    def value(self, name: str) -> object:
        """That of the option of `run` of this name."""
        if name not in HOSTING_OPTIONS:
            return getattr(self, name)
        return DEFAULTS[name] if self.hosting is None else getattr(self.hosting, name)


NOT_OF_RUN = ("persistent", "begins", "hosting")  # which has `HOSTING_OPTIONS` instead
RUN_OPTIONS = (
    *(one.name for one in fields(RunOptions) if one.name not in NOT_OF_RUN),
    *HOSTING_OPTIONS,
)


def run_options(
    grace_s: Any,
    seed: Any,
    shared_bytes: Any,
    preload: Any,
    *,
    progress: Any = None,
    metrics_port: Any = None,
    trace: Any = None,
    worker_init: Any = None,
    machines: dict[str, Any] | None = None,
) -> RunOptions:
    """The options of `run`, as they should be.

    Args:
        machines: `HOSTING_OPTIONS` that were given.

    Raises:
        OptionError: one has a value that it cannot have.
    """
    if isinstance(grace_s, bool) or not isinstance(grace_s, (int, float)) or grace_s < 0:
        raise OptionError(f"grace_s of run is a number of seconds, got {grace_s!r}")
    if shared_bytes is not None and (type(shared_bytes) is not int or shared_bytes < 0):
        raise OptionError(f"shared_bytes of run is a number of bytes, got {shared_bytes!r}")
    seed = check_seed(seed, "run", "other random numbers in each run")
    if progress is not None and not isinstance(progress, bool):
        raise OptionError(
            "progress of run is True, False, or None (if there is a terminal to show it on), got "
            f"{progress!r}"
        )
    if metrics_port is not None and (type(metrics_port) is not int or metrics_port not in PORTS):
        raise OptionError(
            f"metrics_port of run is the number of a port, 0 for any, got {metrics_port!r}"
        )
    modules = _preload(preload)
    seen = (progress, metrics_port, check_trace(trace), check_worker_init(worker_init))
    hosting = check_hosting(machines or {})
    return RunOptions(float(grace_s), seed, shared_bytes, modules, *seen, hosting)


def _preload(preload: Any) -> tuple[str, ...] | None:
    """The modules to be imported beforehand, beside those that functors name; None: not even those.

    Raises:
        OptionError: it is something else.
    """
    if isinstance(preload, bool):
        return () if preload else None
    is_list = isinstance(preload, (list, tuple, set, frozenset))
    names: tuple[Any, ...] = tuple(preload) if is_list else (None,)
    for name in names:
        if not isinstance(name, str) or not all(map(str.isidentifier, name.split("."))):
            raise OptionError(
                'preload of run is a list of the names of modules, as in ["torch"], or False, '
                f"got {preload!r}"
            )
    return names
