"""What a functor will import is seen in its code, wherever it does that."""

from __future__ import annotations

import functools
import types
from typing import Any

import pytest

from minipipe.process import mentions as looked
from minipipe.process.mentions import mentions

MODULES = ("torch",)

helpers = types.ModuleType("helpers")
exec("def to_tensor(x):\n    import torch.nn as nn\n    return nn", vars(helpers))


def imports(x: Any) -> Any:
    import torch

    return torch.as_tensor(x)


def imports_from(x: Any) -> Any:
    from torch import nn

    return nn.Linear(x, x)


def by_helper(x: Any) -> Any:
    return imports(x)


def by_module(x: Any) -> Any:
    return helpers.to_tensor(x)


def encloses() -> Any:
    helper = imports_from
    return lambda x: helper(x)


def inner(x: Any) -> Any:
    def deeper() -> Any:
        return [imports(y) for y in x]

    return deeper()


@functools.wraps(imports)
def decorated(x: Any) -> Any:
    return x


class Base:
    def convert(self, x: Any) -> Any:
        return imports(x)


class Derived(Base):
    def run(self, x: Any) -> Any:
        return self.convert(x)


class Static:
    @staticmethod
    def run(x: Any) -> Any:
        return imports(x)


class Property:
    @functools.cached_property
    def net(self) -> Any:
        return imports(1)


class Holds:
    def __init__(self) -> None:
        self.function = imports

    def run(self, x: Any) -> Any:
        return self.function(x)


@pytest.mark.parametrize(
    "functor",
    [
        *(imports, imports_from, by_helper, by_module, encloses(), inner, decorated),
        *(Derived(), Derived, Derived().run, Static(), Property(), Holds()),
        *(functools.partial(imports, 3), functools.partial(map, imports), Base().convert),
    ],
)
def test_an_import_to_come_is_seen(functor: Any) -> None:
    assert mentions(functor, MODULES)
    assert not mentions(functor, ("tensorflow",))


class Odd:
    """Fails whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


vars(helpers)["odd"] = Odd()


class Meta(type):
    def mro(cls) -> list[type]:
        return [*super().mro()]

    @property
    def __dict__(cls) -> Any:
        raise RuntimeError


class OfMeta(metaclass=Meta):
    pass


def refers_to_odd(x: Any) -> Any:
    return helpers.odd, OfMeta, refers_to_odd, len(x)  # type: ignore[attr-defined]


def test_nothing_is_asked_of_what_is_odd() -> None:
    odd = vars(helpers)["odd"]
    for functor in (odd, OfMeta, refers_to_odd, functools.partial(refers_to_odd, odd), OfMeta()):
        assert not mentions(functor, MODULES)
    for functor in (len, 3, None, [imports]):
        assert not mentions(functor, MODULES)


def test_what_is_far_away_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked, "MOST", 1)
    assert not mentions(by_helper, MODULES) and mentions(imports, MODULES)
