"""Tensors that are more than numbers in memory: they arrive as they are, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from minipipe.codec import Encoder
from minipipe.errors import ItemTypeError
from tests.codec.sameness import trip

torch = pytest.importorskip("torch")

# torch says of some kinds that they are new, or old.
pytestmark = pytest.mark.filterwarnings("ignore:.*(nested|quantize|TypedStorage):UserWarning")


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
