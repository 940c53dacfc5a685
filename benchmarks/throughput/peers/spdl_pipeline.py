"""SPDL's pipeline: threads of one process, so that nothing is copied; they share its lock."""

from __future__ import annotations

from spdl.pipeline import PipelineBuilder
from work import Tally, arguments, arrays, same, version


def main(size_bytes: int, items: int) -> None:
    tally = Tally(size_bytes, items, version("spdl-core"))
    builder = PipelineBuilder().add_source(arrays(size_bytes, items))
    pipeline = builder.pipe(same, concurrency=1).add_sink(3).build(num_threads=1)
    with pipeline.auto_stop():
        for item in pipeline:
            tally.run(item)
    tally.local_term()


if __name__ == "__main__":
    main(*arguments())
