"""torch's tensors on the CPU."""

from __future__ import annotations

import pytest

from minipipe.codec.types import torch as tensors
from minipipe.errors import ItemTypeError
from tests.codec.sameness import trip

torch = pytest.importorskip("torch")


def _same(a: object, b: object) -> bool:
    as_bytes = lambda t: t.detach().contiguous().reshape(-1).view(torch.uint8)  # noqa: E731
    return (
        type(a) is type(b)
        and a.dtype == b.dtype
        and a.shape == b.shape
        and a.stride() == b.stride()
        and a.requires_grad == b.requires_grad
        and torch.equal(as_bytes(a), as_bytes(b))
    )


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("name", sorted(tensors._DTYPES))
@pytest.mark.parametrize("shape", [(), (0, 3), (3,), (20, 300)])
def test_a_tensor_of_this_dtype_arrives(name: str, shape: tuple[int, ...]) -> None:
    dtype = getattr(torch, name)
    raw = torch.randint(0, 2 if name == "bool" else 256, (*shape, dtype.itemsize))
    tensor = raw.to(torch.uint8).reshape(-1).view(dtype).reshape(shape)
    assert _same(tensor, trip(tensor)) and _same(tensor, trip({"x": [tensor]})["x"][0])


def test_channels_last_stays_so() -> None:
    tensor = torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last)
    assert _same(tensor, trip([tensor])[0])


def test_a_view_with_gaps_becomes_contiguous() -> None:
    tensor = torch.arange(100)[::3]
    arrived = trip(tensor)
    assert torch.equal(tensor, arrived) and arrived.is_contiguous()


def test_a_leaf_keeps_requires_grad() -> None:
    arrived = trip(torch.ones(3, requires_grad=True))
    assert arrived.requires_grad and arrived.is_leaf


def test_a_tensor_is_a_snapshot() -> None:
    from minipipe.codec import Decoder, Encoder

    encoder = Encoder()
    for size in (3, 30_000):
        tensor = torch.zeros(size)
        token, _ = encoder.snapshot([tensor])
        tensor += 1
        parcel = encoder.encode([token])
        assert not Decoder().decode(parcel.body, parcel.frames)[0][0].any()


def test_tensors_in_a_pickled_item_arrive() -> None:
    item = {"type": int, "small": torch.ones(2), "large": torch.ones(10_000, dtype=torch.bfloat16)}
    arrived = trip(item, allow_pickle=True)
    assert _same(item["small"], arrived["small"]) and _same(item["large"], arrived["large"])


def test_a_parameter_is_not_flattened() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ItemTypeError):
        trip(parameter)
    assert type(trip(parameter, allow_pickle=True)) is torch.nn.Parameter


def test_a_sparse_tensor_is_pickled() -> None:
    sparse = torch.eye(3).to_sparse()
    with pytest.raises(ItemTypeError, match="special kind"):
        trip(sparse)
    assert torch.equal(trip(sparse, allow_pickle=True).to_dense(), torch.eye(3))
