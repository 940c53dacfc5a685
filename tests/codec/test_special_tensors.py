"""Tensors that are more than numbers in memory: they arrive as they are, or are refused."""

from __future__ import annotations

import io
from typing import Any

import pytest

from minipipe.codec import Encoder, LocalEncoder
from minipipe.codec.types import torch as torch_types
from minipipe.errors import ItemTypeError
from tests.codec.sameness import trip

torch = pytest.importorskip("torch")

# torch says of some kinds that they are new, or old.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(nested|quantize|TypedStorage|Sparse CSR):UserWarning"
)


def weights() -> Any:
    return torch.ones(3, requires_grad=True)


@pytest.mark.parametrize("allow_pickle", [True, False])
@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: weights() * 2, "item"),
        (lambda: weights()[:2], "item"),
        (lambda: {"loss": [1, weights().sum()]}, r"item\['loss'\]\[1\]"),
        (lambda: (torch.eye(3).requires_grad_() * 2).to_sparse(), "item"),
    ],
)
def test_a_tensor_of_a_graph_is_refused_wherever_it_is(
    make: Any, where: str, allow_pickle: bool
) -> None:
    with pytest.raises(ItemTypeError, match=rf"{where} of type .*graph.*detach\(\) it"):
        Encoder(allow_pickle=allow_pickle).snapshot(make())


def test_an_instance_of_a_subclass_with_a_graph_is_refused() -> None:
    with pytest.raises(ItemTypeError, match=r"detach\(\) it"):
        Encoder().snapshot((weights() * 2).as_subclass(torch.nn.parameter.Buffer))


def test_a_tensor_of_a_graph_in_a_pickled_item_is_refused() -> None:
    class Result:
        def __init__(self) -> None:
            self.loss = weights().sum()

    with pytest.raises(ItemTypeError, match=r"item\.loss of type torch.Tensor .*detach\(\) it"):
        Encoder().snapshot(Result())


class OnGPU(torch.Tensor):  # type: ignore[misc]
    """A tensor that says that it is on a GPU."""

    device = torch.device("cuda:1")


@pytest.mark.parametrize("allow_pickle", [True, False])
@pytest.mark.parametrize("encoder", [Encoder, LocalEncoder])
def test_a_tensor_on_a_gpu_is_refused_with_what_to_do(encoder: Any, allow_pickle: bool) -> None:
    tensor = torch.ones(3).as_subclass(OnGPU)
    made = encoder()
    made.allow_pickle = allow_pickle
    with pytest.raises(ItemTypeError, match=r"item\['x'\].*on cuda:1.*tensor\.cpu\(\).*to_device"):
        made.snapshot({"x": tensor})


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tensor that says that it is in pinned memory; others do not."""
    tensor = torch.ones(3)
    monkeypatch.setattr(torch_types, "can_pin", lambda: True)
    monkeypatch.setattr(
        torch.Tensor, "is_pinned", lambda self: self.data_ptr() == tensor.data_ptr()
    )
    return tensor


@pytest.mark.parametrize("allow_pickle", [True, False])
@pytest.mark.parametrize("encoder", [Encoder, LocalEncoder])
@pytest.mark.parametrize("of", [lambda x: x, lambda x: x.reshape(3, 1), lambda x: x.view(3)[:2]])
def test_a_pinned_tensor_is_refused_with_what_to_do(
    pinned: Any, encoder: Any, allow_pickle: bool, of: Any
) -> None:
    made = encoder()
    made.allow_pickle = allow_pickle
    for item, at in ((of(pinned), "item"), ({"x": of(pinned)}, r"item\['x'\]")):
        with pytest.raises(ItemTypeError, match=rf"{at}.*pinned memory.*or send tensor\.clone"):
            made.snapshot(item)


def test_an_instance_with_a_pinned_tensor_is_refused(pinned: Any) -> None:
    class Result:
        def __init__(self) -> None:
            self.x = pinned

    with pytest.raises(ItemTypeError, match=r"item\.x .*pinned memory"):
        Encoder().snapshot(Result())


def test_beside_pinned_tensors_others_travel_as_ever(pinned: Any) -> None:
    assert trip({"x": pinned.clone()}, allow_pickle=False)["x"].tolist() == [1, 1, 1]


KINDS = {
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "conjugate": lambda: torch.ones(3, dtype=torch.complex64).conj(),
    "float8": lambda: torch.ones(3).to(torch.float8_e4m3fn),
    "no elements": lambda: torch.zeros(0, 3),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "meta": lambda: torch.ones(3, device="meta"),
    "size": lambda: torch.Size([2, 3]),
    "dtype": lambda: torch.bfloat16,
    "device": lambda: torch.device("cuda:1"),
    "layout": lambda: torch.sparse_coo,
    "generator": lambda: torch.Generator().manual_seed(7),
    "module": lambda: torch.nn.Linear(2, 2),
    "state": lambda: torch.nn.Linear(2, 2).state_dict(),
}


def test_a_storage_is_refused() -> None:
    with pytest.raises(ItemTypeError, match="send a tensor over it"):
        Encoder().snapshot([torch.ones(3).untyped_storage()])


@pytest.mark.parametrize("kind", KINDS)
def test_what_torch_save_takes_arrives(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_types, "can_pin", lambda: True)  # as where there is CUDA
    sent = KINDS[kind]()
    arrived = trip(sent, allow_pickle=True)

    assert type(arrived) is type(sent)
    before, after = io.BytesIO(), io.BytesIO()
    if kind == "generator":
        assert torch.equal(arrived.get_state(), sent.get_state())
        return
    torch.save(sent, before)
    torch.save(arrived, after)
    assert before.getvalue() == after.getvalue()


def test_what_is_detached_of_a_graph_arrives() -> None:
    arrived = trip((weights() * 2).detach(), allow_pickle=True)
    assert torch.equal(arrived, torch.full((3,), 2.0)) and not arrived.requires_grad


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    ],
    ids=["strided", "jagged"],
)
def test_a_nested_tensor_arrives(make: Any) -> None:
    for arrived in (trip(make(), allow_pickle=True), trip([make()], allow_pickle=True)[0]):
        assert arrived.is_nested
        assert [part.tolist() for part in arrived.unbind()] == [[1.0] * 2, [1.0] * 3]


def test_a_quantized_tensor_arrives() -> None:
    tensor = torch.quantize_per_tensor(torch.tensor([1.0, 2.0]), 0.5, 3, torch.qint8)
    arrived = trip(tensor, allow_pickle=True)
    assert torch.equal(arrived, tensor) and arrived.q_zero_point() == 3


@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_parameter_arrives_as_one(requires_grad: bool) -> None:
    arrived = trip(torch.nn.Parameter(torch.ones(2), requires_grad), allow_pickle=True)
    assert type(arrived) is torch.nn.Parameter and arrived.requires_grad is requires_grad
