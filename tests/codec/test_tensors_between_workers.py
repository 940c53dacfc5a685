"""Tensors between processes of one machine, where they travel as arrays."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minipipe.codec import Borrower, Decoder, LocalEncoder
from minipipe.errors import WireFormatError
from minipipe.protocol.wiring import Access
from tests.codec.ends import End
from tests.shm.harness import KIB

torch: Any = pytest.importorskip("torch")


class LocalEnd(End):
    def __init__(self, min_bytes: int = 64 * KIB) -> None:
        super().__init__(min_bytes)
        self.encoder = LocalEncoder(lender=self.lender)
        self.encoder.snapshot(torch.zeros(1))  # from the second one on they go the quick way
        self.decoder = Decoder(borrower=Borrower(self.reader))


@pytest.fixture
def local_end(end: End) -> Iterator[LocalEnd]:
    made = LocalEnd()
    yield made
    made.close()


SIZES = [0, 1, 30, 3_000, 20_000, 100_000, 5_000_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("access", ["read", "write", "own", "private"])
def test_tensors_arrive_writable_and_written_to_by_nobody_else(
    local_end: LocalEnd, size: int, access: Access
) -> None:
    made = [torch.arange(size, dtype=torch.float32).reshape(-1, 1) + i for i in range(3)]
    parcel = local_end.parcel(*made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch would warn of memory that is not to be written to
        first = local_end.decoder.decode(parcel.body, parcel.frames)
        for tensor in first:
            tensor += 1
        again = local_end.received(parcel, access)
    for sent, written, tensor in zip(made, first, again, strict=True):
        assert type(tensor) is torch.Tensor and tensor.dtype is sent.dtype
        assert torch.equal(sent, tensor) and torch.equal(sent + 1, written)
        tensor += 1
        assert torch.equal(sent + 1, tensor)
    del first, again, tensor, written
    assert local_end.is_idle


def test_the_sole_consumer_that_may_write_gets_a_large_tensor_without_a_copy(
    local_end: LocalEnd,
) -> None:
    local_end.encoder.exclusive = True
    parcel = local_end.parcel(torch.zeros(300_000))
    local_end.decoder.access = "write"
    for value in (0, 1):
        (tensor,) = local_end.decoder.decode(parcel.body, parcel.frames)
        assert tensor[-1] == value  # what was written the first time
        tensor += 1
    parcel.release()


def through(relay: LocalEnd, parcel: Any, change: Any) -> Any:
    """What a function makes of the one item of a parcel, and a parcel with that; the item, too."""
    relay.decoder.access = "read"
    (tensor,) = relay.decoder.decode(parcel.body, parcel.frames)
    parcel.release()
    return relay.parcel(change(tensor)), tensor


MAKERS = {
    "plain": lambda: torch.arange(100_000, dtype=torch.float32),
    "bfloat16": lambda: torch.ones(200_000, dtype=torch.bfloat16),
    "channels_last": lambda: torch.ones(8, 3, 64, 64).contiguous(memory_format=torch.channels_last),
}
VIEWS = {
    "itself": lambda tensor: tensor,
    "a view": lambda tensor: tensor[1:].view(-1)[:50_000] if tensor.ndim == 1 else tensor[2:],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", MAKERS)
def test_what_a_function_passes_on_unchanged_goes_by_reference(
    local_end: LocalEnd, kind: str, view: str
) -> None:
    relay = LocalEnd()
    sent, seen = MAKERS[kind](), VIEWS[view]
    passed, tensor = through(relay, local_end.parcel(sent), seen)
    assert passed.held and relay.pool.warm_bytes == 0
    tensor += 1  # after it was sent: nobody sees that
    (arrived,) = local_end.received(passed, "own")

    assert torch.equal(arrived, seen(sent)) and arrived.stride() == seen(sent).stride()
    arrived += 5
    assert torch.equal(tensor, sent + 1)
    del tensor, arrived
    assert relay.is_idle and local_end.is_idle
    relay.close()


@pytest.mark.parametrize("write", [lambda t: t.add_(1), lambda t: np.add(t, 1, out=t.numpy())])
@pytest.mark.parametrize("kind", ["plain", "channels_last"])
def test_what_a_function_has_written_to_goes_with_what_it_wrote(
    local_end: LocalEnd, kind: str, write: Any
) -> None:
    relay = LocalEnd()
    sent = MAKERS[kind]()
    expected = sent + 1

    def change(tensor: Any) -> Any:
        write(tensor)
        return tensor

    passed, tensor = through(relay, local_end.parcel(sent), change)
    (arrived,) = local_end.received(passed)
    assert torch.equal(arrived, expected) and torch.equal(tensor, expected)
    del tensor, arrived
    relay.close()


def test_the_original_of_what_a_function_has_written_to_is_as_it_came(
    local_end: LocalEnd,
) -> None:
    made = [torch.full((50_000,), float(i)) for i in range(3)]  # side by side in one slot
    parcel = local_end.parcel(*made)
    first = local_end.decoder.decode(parcel.body, parcel.frames)
    for tensor in first:
        tensor += 1
    for again in (local_end.decoder.decode(parcel.body, parcel.frames) for _ in range(2)):
        assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))
    local_end.decoder.access = "private"
    again = local_end.decoder.decode(parcel.body, parcel.frames)
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))
    del first, again, tensor
    parcel.release()


SPECIAL = [
    torch.zeros(50, requires_grad=True),
    torch.zeros(50, 50, dtype=torch.bfloat16),
    torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    torch.arange(6.0).reshape(2, 3).T,
    torch.zeros(3).to_sparse(),
    torch.nn.Parameter(torch.ones(3)),
]


@pytest.mark.parametrize("size", [3, 100_000])
def test_tensors_of_all_kinds_share_a_parcel_with_other_items(
    local_end: LocalEnd, size: int
) -> None:
    plain, array = torch.ones(size), np.ones(size, "f4")
    items = [plain, array, {"x": plain, "y": [plain]}, *SPECIAL, 7, torch.ones(2, size)]
    found = local_end.received(
        local_end.encoder.encode(
            [i if type(i) is int else local_end.encoder.snapshot(i)[0] for i in items]
        )
    )
    assert torch.equal(found[0], plain) and type(found[1]) is np.ndarray
    assert found[2]["x"] is found[2]["y"][0] and torch.equal(found[2]["x"], plain)
    for sent, arrived in zip(SPECIAL, found[3:], strict=False):
        assert type(arrived) is type(sent) and arrived.requires_grad is sent.requires_grad
        assert arrived.layout is sent.layout and arrived.dtype is sent.dtype
        if sent.layout is torch.strided:
            assert arrived.stride() == sent.stride() and torch.equal(sent, arrived)
    assert found[-2] == 7 and torch.equal(found[-1], items[-1])


def test_what_has_attributes_arrives_with_them(local_end: LocalEnd) -> None:
    tensor = torch.ones(3)
    tensor.about = "a tensor"  # type: ignore[attr-defined]
    (arrived,) = local_end.received(local_end.parcel(copy.copy(tensor)))
    assert torch.equal(arrived, tensor) and arrived.about == "a tensor"


def test_later_changes_do_not_reach_what_was_sent(local_end: LocalEnd) -> None:
    tensors = [torch.zeros(size) for size in SIZES[1:]]
    parcel = local_end.parcel(*tensors)
    for tensor in tensors:
        tensor += 1
    assert [float(tensor.sum()) for tensor in local_end.received(parcel)] == [0.0] * len(tensors)


def test_one_that_is_not_sent_lets_go_of_its_slot(local_end: LocalEnd) -> None:
    token, _ = local_end.encoder.snapshot(torch.zeros(100_000))
    local_end.encoder.discard(token)
    local_end.encoder.encode([])
    assert local_end.is_idle


@pytest.mark.parametrize("others", [[], [3]])
def test_a_decoder_that_allows_no_pickles_makes_none(local_end: LocalEnd, others: Any) -> None:
    tokens = [local_end.encoder.snapshot(torch.zeros(3))[0], *others]
    parcel = local_end.encoder.encode(tokens)
    with pytest.raises(WireFormatError, match="allow_pickle"):
        Decoder(allow_pickle=False).decode(parcel.body, parcel.frames)
