"""Where no pickles are taken, a class is found in the modules that are there, or were named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from minipipe.codec import Decoder, Encoder
from minipipe.errors import WireFormatError

SOURCE = """
from dataclasses import dataclass

@dataclass
class Sample:
    x: int
"""


@pytest.fixture
def parcel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Of an item of a class whose module is not loaded any more."""
    (tmp_path / "of_users.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__("of_users")
    encoder = Encoder(allow_pickle=False)
    body = encoder.encode([encoder.snapshot(module.Sample(3))[0]]).body
    del sys.modules["of_users"]
    return body


def test_a_module_that_nobody_named_is_not_imported(parcel: bytes) -> None:
    decoder = Decoder(allow_pickle=False)
    decoder.importable = {"of_others"}
    with pytest.raises(WireFormatError, match="module 'of_users' is not loaded"):
        decoder.decode(parcel, [])
    assert "of_users" not in sys.modules


def test_one_that_was_named_is(parcel: bytes) -> None:
    decoder = Decoder(allow_pickle=False)
    decoder.importable = {"of_users"}
    (item,) = decoder.decode(parcel, [])
    del sys.modules["of_users"]
    assert (type(item).__name__, item.x) == ("Sample", 3)
