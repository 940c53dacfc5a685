"""Large buffers that a functor refers to lie in memory once, for all its workers and passes."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.supervisor import functor_memory, pickling

MB = 1_000_000


def private_bytes() -> int:
    """What this process holds for itself alone, and nobody else sees."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(1024 * int(line.split()[1]) for line in text.splitlines() if "Private_D" in line)


class Table:
    """Refers to a large array, and tells what a worker has of it."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def run(self, item: int) -> tuple[int, int, float]:
        return private_bytes(), os.getpid(), float(self.table[item])


def test_workers_share_what_they_captured() -> None:
    table = np.arange(8 * MB, dtype=np.float64)
    pline = mp.PipeLine([mp.Source(range(40)), mp.Transform(Table(table), n_processes=2)])
    for held, _, value in pline:
        assert held < table.nbytes // 2
        assert value in range(40)


def test_each_worker_may_write_and_nobody_else_sees_it() -> None:
    table = np.zeros(100_000)

    def count(item: int) -> tuple[int, float]:
        table[0] += 1
        return os.getpid(), float(table[0])

    pline = mp.PipeLine([mp.Source(range(20)), mp.Transform(count, n_processes=2)])
    for _ in range(2):
        counts: dict[int, list[float]] = {}
        for pid, value in pline:
            counts.setdefault(pid, []).append(value)
        for values in counts.values():
            assert sorted(values) == [1.0 + i for i in range(len(values))]
    assert table[0] == 0


def test_read_only_arrays_stay_so_and_others_stay_writable() -> None:
    frozen, free = np.ones(100_000), np.ones((300, 400), order="F")
    frozen.flags.writeable = False

    def flags(item: int) -> tuple[bool, bool, bool]:
        return frozen.flags.writeable, free.flags.writeable, free.flags.f_contiguous

    assert list(mp.PipeLine([mp.Source([1]), mp.Transform(flags)])) == [(False, True, True)]


def test_another_pass_sees_what_the_script_has_changed_meanwhile() -> None:
    table = np.zeros(100_000)
    pline = mp.PipeLine([mp.Source([0, 99_999]), mp.Transform(lambda i: float(table[i]))])
    assert list(pline) == [0.0, 0.0]
    table[99_999] = 7.0
    assert list(pline) == [0.0, 7.0]
    assert list(pline) == [0.0, 7.0]


def test_the_copy_is_kept_while_it_holds_the_same_and_not_longer_than_the_pipeline() -> None:
    segment = mp.Transform(Table(np.zeros(100_000)))
    contents = [memoryview(bytearray(100_000)), memoryview(bytes(5))]
    first = functor_memory.memory_for(segment, contents)
    assert first is not None
    assert functor_memory.memory_for(segment, contents) is first
    contents[0][99_999] = 1
    second = functor_memory.memory_for(segment, contents)
    assert second is not None and second is not first
    open_descriptors = os.listdir("/proc/self/fd")
    assert str(second.fd) in open_descriptors
    fd = second.fd
    del first, second, segment
    gc.collect()
    assert str(fd) not in os.listdir("/proc/self/fd")


@pytest.mark.parametrize("what", ["memory", "system call"])
def test_without_shared_memory_it_travels_in_the_message(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(*args: Any) -> Any:
        raise PermissionError(1, "not permitted")

    if what == "memory":
        monkeypatch.setattr(functor_memory, "available_bytes", lambda: 50_000)
    else:
        monkeypatch.setattr(functor_memory, "copy", refuse)
    table = np.arange(100_000)
    table.flags.writeable = False
    functor = pickling.pickle_functor(mp.Transform(str), [table])  # type: ignore[arg-type]
    assert functor[1] is None and len(functor[0].data) > table.nbytes
    read = mp.Transform(lambda i: (int(table[i]), table.flags.writeable))
    assert list(mp.PipeLine([mp.Source([5]), read])) == [(5, False)]


def test_large_bytes_and_init_kwargs_arrive() -> None:
    class Holds:
        def __init__(self, text: bytes, table: Any) -> None:
            self.text, self.table = text, table

        def run(self, item: int) -> tuple[int, int]:
            return len(self.text), int(self.table.sum())

    kwargs = {"text": b"x" * 300_000, "table": np.ones(100_000, np.int64)}
    pline = mp.PipeLine([mp.Source([1]), mp.Transform(Holds, init_kwargs=kwargs)])
    assert list(pline) == [(300_000, 100_000)]


def test_tensors_are_shared_too_and_may_be_written_to() -> None:
    torch = pytest.importorskip("torch")
    weights = torch.arange(8 * MB, dtype=torch.float32).reshape(2, -1).t()
    model = torch.nn.Linear(200, 200)

    def use(item: int) -> tuple[bool, float, tuple[int, ...], bool]:
        before = private_bytes()
        value = float(weights[item, 1])
        weights[item, 1] = -1
        assert float(weights[item, 1]) == -1
        grads = all(p.requires_grad for p in model.parameters())
        return private_bytes() - before < 8 * MB, value, weights.stride(), grads

    pline = mp.PipeLine([mp.Source([3]), mp.Transform(use)])
    expected = (True, float(weights[3, 1]), weights.stride(), True)
    assert list(pline) == [expected]
    assert float(weights[3, 1]) != -1


def test_arrays_that_are_captured_twice_stay_one() -> None:
    table = np.zeros(100_000)

    class Both:
        def __init__(self) -> None:
            self.first = self.second = table

        def run(self, item: int) -> bool:
            self.first[0] = item
            return self.first is self.second and bool(table[0] == item)

    assert list(mp.PipeLine([mp.Source([3]), mp.Transform(Both())])) == [True]
