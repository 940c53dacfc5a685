"""Items on their way to a device: what is registered, what is kept until a copy is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from minipipe.shm import Lease  # noqa: E402
from minipipe.torch.layout import laid  # noqa: E402
from minipipe.torch.tensors import TensorError  # noqa: E402
from minipipe.torch.uploads import Uploads  # noqa: E402
from tests.shm.harness import MIB, SIZE, Scene, filled  # noqa: E402
from tests.torch.fake_driver import FakeDriver  # noqa: E402


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def uploads(driver: FakeDriver) -> Iterator[Uploads]:
    made = Uploads(driver)
    yield made
    driver.clear_error()
    made.close()
    assert not driver.registered


def lent(scene: Scene, value: int, access: Any = "read") -> np.ndarray[Any, Any]:
    """An array as a consumer gets it, of a slot that is free again once that lets it go."""
    scene.reader.drain()
    slot = filled(scene.pool, value)
    lease = scene.reader.borrow(slot.reference())
    slot.release()
    assert isinstance(lease, Lease)
    array = lease.array("u1", (SIZE,), access=access)
    lease.release()
    return array


def slots(scene: Scene) -> int:
    """How many slots have memory."""
    return scene.pool.warm_bytes // (SIZE // 4096 * 4096)


@pytest.mark.parametrize("access", ["read", "private", "write"])
def test_an_array_in_a_slot_is_copied_straight_from_there(
    scene: Scene, driver: FakeDriver, uploads: Uploads, access: str
) -> None:
    item = uploads.finished(uploads.begin({"image": lent(scene, 3, access)}))
    driver.complete()

    assert item["image"].shape == (SIZE,) and set(item["image"].tolist()) == {3}
    assert driver.direct == 1 and driver.buffers == 0 and driver.handed_over == 1


def test_a_slot_is_not_filled_anew_before_its_copy_is_done(
    scene: Scene, driver: FakeDriver, uploads: Uploads
) -> None:
    first = uploads.begin(lent(scene, 1))
    second = uploads.begin(lent(scene, 2))  # which the first one's slot would be taken for
    uploads.poll()
    third = uploads.begin(lent(scene, 3))
    driver.complete()

    found = [uploads.finished(upload) for upload in (first, second, third)]
    assert [set(tensor.tolist()) for tensor in found] == [{1}, {2}, {3}]
    assert len(driver.registered) == 3


def test_a_slot_is_free_once_its_copy_is_done_and_is_registered_only_once(
    scene: Scene, driver: FakeDriver, uploads: Uploads
) -> None:
    for value in range(20):
        tensor = uploads.finished(uploads.begin(lent(scene, value)))
        driver.complete()
        uploads.poll()
        assert set(tensor.tolist()) == {value}

    assert driver.asked[1:] == [scene.pool.warm_bytes] and len(driver.registered) == 1


def test_events_that_complete_late_give_back_in_their_order(
    scene: Scene, driver: FakeDriver, uploads: Uploads
) -> None:
    for value in range(3):
        uploads.finished(uploads.begin(lent(scene, value)))
    driver.complete(1)
    uploads.poll()
    scene.reader.drain()
    before = scene.pool.warm_bytes
    filled(scene.pool, 9)  # there is one that is free

    assert scene.pool.warm_bytes == before
    filled(scene.pool, 9)
    assert scene.pool.warm_bytes > before


def test_too_many_under_way_wait_for_the_oldest(scene: Scene, driver: FakeDriver) -> None:
    uploads = Uploads(driver, most=2)
    for value in range(5):
        uploads.begin(lent(scene, value))
    assert driver.waits == 3 and driver.done == 3
    uploads.close()


def test_memory_that_is_pinned_is_not_given_back_to_the_machine(
    scene: Scene, driver: FakeDriver, uploads: Uploads
) -> None:
    uploads.finished(uploads.begin(lent(scene, 1)))
    driver.complete()
    uploads.poll()
    scene.reader.drain()
    pinned = scene.pool.warm_bytes
    assert pinned
    scene.pool.tend(1e9)
    scene.pool.tend(2e9)
    assert scene.pool.warm_bytes == pinned

    uploads.close()
    scene.pool.tend(3e9)
    assert scene.pool.warm_bytes == 0


def test_a_slot_that_was_given_back_and_filled_again_between_copies_is_seen_as_it_is(
    scene: Scene, driver: FakeDriver, uploads: Uploads
) -> None:
    for value in (1, 2, 3):
        tensor = uploads.finished(uploads.begin(lent(scene, value)))
        driver.complete()
        assert set(tensor.tolist()) == {value}
        uploads._registrations.close()
        uploads.poll()
        scene.reader.drain()
        scene.pool.tend(value * 1e9)
        scene.pool.tend(value * 1e9 + 10)
        assert scene.pool.warm_bytes == 0
    assert driver.direct == 3


def test_what_was_not_used_for_a_while_is_let_go(
    scene: Scene, driver: FakeDriver, uploads: Uploads
) -> None:
    uploads.begin(lent(scene, 1))
    uploads._registrations.tend(1e9)
    assert len(driver.registered) == 1  # a copy reads from there
    driver.complete()
    uploads.poll(1e9)
    uploads.poll(1e9 + 60)
    assert not driver.registered


def test_beyond_the_limit_the_least_recently_used_is_let_go(
    scene: Scene, driver: FakeDriver
) -> None:
    uploads = Uploads(driver, most=1, pinned_bytes=2 * 102_400 + 4096)
    kept = []
    for value in range(6):
        array = lent(scene, value)
        kept.append(array)
        tensor = uploads.finished(uploads.begin(array))
        driver.complete()
        assert set(tensor.tolist()) == {value}
    assert sum(driver.registered.values()) <= 2 * 102_400 + 4096
    assert driver.direct == 6 and driver.buffers == 0
    uploads.close()


def test_what_does_not_fit_goes_by_a_ring_of_pinned_buffers(
    scene: Scene, driver: FakeDriver
) -> None:
    uploads = Uploads(driver, most=2, pinned_bytes=4096)
    for value in range(10):
        tensor = uploads.finished(uploads.begin(lent(scene, value)))
        driver.complete()
        assert set(tensor.tolist()) == {value}
    assert driver.direct == 0 and driver.from_pageable == 0 and driver.buffers <= 2
    uploads.close()


def test_a_buffer_of_the_ring_is_not_written_to_before_its_copy_is_done(
    driver: FakeDriver, uploads: Uploads
) -> None:
    begun = [uploads.begin(np.full(200_000, value)) for value in range(3)]
    driver.complete()
    assert [set(uploads.finished(u).tolist()) for u in begun] == [{0}, {1}, {2}]
    assert driver.buffers == 3


def test_a_refusal_is_told_once_and_leaves_no_error_behind(
    scene: Scene, driver: FakeDriver, uploads: Uploads, caplog: pytest.LogCaptureFixture
) -> None:
    driver.refuses = lambda size_bytes: True
    with caplog.at_level(logging.WARNING, logger="minipipe"):
        for value in range(4):
            tensor = uploads.finished(uploads.begin(lent(scene, value)))
            driver.complete()
            assert set(tensor.tolist()) == {value}

    assert len(driver.asked) == 1  # a page, tried once
    (said,) = caplog.messages
    assert "cannot be registered" in said and "invalid argument" in said and "pinned" in said


def test_a_refusal_of_more_keeps_what_is_registered(
    scene: Scene, driver: FakeDriver, uploads: Uploads, caplog: pytest.LogCaptureFixture
) -> None:
    first = lent(scene, 1)
    uploads.begin(first)
    driver.refuses = lambda size_bytes: True
    second = lent(scene, 2)
    found = uploads.finished(uploads.begin([second, first]))
    driver.complete()

    assert set(found[0].tolist()) == {2} and set(found[1].tolist()) == {1}
    assert driver.direct == 2 and driver.buffers == 1
    assert "beyond what is" in caplog.text


def test_small_arrays_of_an_item_share_one_copy(driver: FakeDriver, uploads: Uploads) -> None:
    item = {
        "labels": np.arange(64),
        "weights": np.arange(3, dtype="f4"),
        "scalar": np.array(5.0),
        "odd": np.arange(7, dtype="u1"),
        "none": np.zeros((0, 3)),
        "mask": torch.tensor([True, False]),
    }
    found = uploads.finished(uploads.begin(item))
    driver.complete()

    assert len(driver.copies) == 1
    for name, value in item.items():
        assert found[name].tolist() == value.tolist() and tuple(found[name].shape) == value.shape
    found["labels"] += 1  # in place, and seen by no other
    assert not found["labels"]._is_view() and found["odd"].tolist() == list(range(7))


KINDS = {
    "transposed": lambda: np.arange(60_000.0).reshape(200, 300).T,
    "Fortran": lambda: np.asfortranarray(np.arange(60_000.0).reshape(200, 300)),
    "strided": lambda: np.arange(200_000)[::2],
    "backwards": lambda: np.arange(100_000)[::-1],
    "big-endian": lambda: np.arange(100_000).astype(">i4"),
    "channels_last": lambda: torch.rand(4, 3, 64, 64).contiguous(memory_format=torch.channels_last),
    "bfloat16": lambda: torch.rand(100_000).to(torch.bfloat16),
    "with gradients": lambda: torch.rand(100_000, requires_grad=True),
    "expanded": lambda: torch.rand(1, 300).expand(300, 300),
    "read-only": lambda: np.broadcast_to(np.arange(300.0), (300, 300)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_layouts_of_every_kind_arrive(driver: FakeDriver, uploads: Uploads, kind: str) -> None:
    value = KINDS[kind]()
    found = uploads.finished(uploads.begin((value,)))[0]
    driver.complete()

    expected = value if isinstance(value, torch.Tensor) else torch.tensor(value.tolist())
    assert torch.equal(found.detach(), expected.detach().to(found.dtype))
    assert found.requires_grad is expected.requires_grad
    if kind == "channels_last":
        assert found.is_contiguous(memory_format=torch.channels_last)
    assert driver.from_pageable == 0


def test_what_is_more_than_bytes_is_moved_by_torch(driver: FakeDriver, uploads: Uploads) -> None:
    sparse = torch.eye(3).to_sparse()
    found = uploads.finished(uploads.begin([sparse, torch.zeros(3)]))
    driver.complete()
    assert found[0].layout is torch.sparse_coo and driver.moves == 1


def test_an_array_that_is_no_tensor_is_refused_before_anything_is_copied(
    driver: FakeDriver, uploads: Uploads
) -> None:
    with pytest.raises(TensorError, match=r"item\['b'\]"):
        uploads.begin({"a": np.zeros(100_000), "b": np.array(["x"])})
    assert not driver.copies


def test_a_driver_that_fails_in_the_middle_loses_nothing_that_is_read_from(
    scene: Scene, driver: FakeDriver, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = lent(scene, 1)
    empty = driver.empty

    def fails(size_bytes: int) -> Any:
        if size_bytes == 5 * MIB:
            raise RuntimeError("CUDA out of memory")
        return empty(size_bytes)

    monkeypatch.setattr(driver, "empty", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        uploads.begin([array, np.zeros(5 * MIB, "u1")])
    del array
    scene.reader.drain()
    before = scene.pool.warm_bytes
    filled(scene.pool, 2)
    assert scene.pool.warm_bytes > before  # the first one is still read from
    driver.complete()


def test_what_is_laid_out_says_so() -> None:
    plain = laid(np.arange(6.0).reshape(2, 3))
    assert plain is not None
    assert (plain.size_bytes, plain.shape, plain.strides) == (48, (2, 3), (3, 1))
    assert laid(torch.eye(2).to_sparse()) is None
    assert laid(torch.ones(2, dtype=torch.complex64).conj()) is None
