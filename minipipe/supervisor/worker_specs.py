"""What each worker process of a run is told at its start."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from minipipe.graph import Graph
from minipipe.process.log_levels import levels_now
from minipipe.protocol.item_seeds import RunSeeds
from minipipe.supervisor import displays
from minipipe.supervisor.installed import importable_for
from minipipe.supervisor.run_options import RunOptions
from minipipe.supervisor.script_classes import classes_of_script
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.worker.spec import WorkerSpec, current_directory


@dataclass
class WorkerSpecs:
    """What they are told.

    Args:
        shared_bytes: what the arrays of all workers in shared memory may come to.
        pipeline: its id.
        trace: how many spans each may write down, if that is wished.
        first: the workers that there are at the start.
        run: its id.
        base: of the transport.
        supervisor: the address of its inbox.
        directory: of the run.
        gateway: the address of the run's gateway; nothing: no other machine can join.
        modules: that functors name.
    """

    graph: Graph
    options: RunOptions
    seeds: RunSeeds
    shared_bytes: int
    pipeline: int
    trace: tuple[int, int] | None
    first: tuple[WorkerHandle, ...]
    run: int
    base: str
    supervisor: str
    directory: str
    gateway: str
    modules: Collection[str]

    def of(self, handle: WorkerHandle) -> WorkerSpec:
        """That of one worker."""
        segment = handle.segment
        return WorkerSpec(
            run=self.run,
            ident=handle.ident,
            name=handle.name,
            segment=segment.name,
            kind=segment.kind,
            index=handle.index,
            num_workers=segment.n_processes,
            seed=self.seeds.of_worker(segment.name, handle.index, handle.ident),
            common_seed=self.seeds.common(segment.name),
            run_seed=self.seeds.given,
            wiring=self.graph.wiring(segment.index),
            base=self.base,
            supervisor=self.supervisor,
            names=self._names,
            directory=self.directory,
            authkey=bytes(multiprocessing.current_process().authkey),
            is_late=handle.ident > len(self.first),
            cwd=current_directory(),
            sys_path=tuple(sys.path),
            argv=tuple(sys.argv),
            shared_bytes=self._share,
            persistent=self.options.persistent,
            pipeline=self.pipeline,
            trace=self.trace,
            log_levels=levels_now(),
            displays=displays.is_wanted(),
            gateway=self.gateway,
            plain=self.options.is_plain,
            importable=self._importable,
            script=self._script,
            skip=self.options.begins.skip(handle.name) if segment.kind == "source" else None,
        )

    @cached_property
    def _names(self) -> dict[int, str]:
        """Those of the workers that number items: they are never replaced."""
        return {handle.ident: handle.name for handle in self.first if handle.member.sends_to}

    @cached_property
    def _importable(self) -> tuple[str, ...]:
        """Where the classes of items may be, as far as workers do not import whatever is named."""
        return importable_for(self.modules) if self.options.is_plain else ()

    @cached_property
    def _script(self) -> Mapping[str, bytes]:
        """The script's classes that items may be of, where definitions are not accepted."""
        return classes_of_script() if self.options.is_plain else {}

    @cached_property
    def _share(self) -> int:
        """What of `shared_bytes` is for each of those who send something."""
        sending = [handle for handle in self.first if handle.segment.outputs]
        return self.shared_bytes // max(1, len(sending))
