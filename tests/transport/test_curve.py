"""Key pairs: made, kept in files, checked, and never shown."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.errors import OptionError
from minipipe.transport.curve import raw_key


@pytest.fixture(scope="module")
def keys() -> mp.CurveKeys:
    return mp.CurveKeys.new()


def test_a_secret_is_not_in_what_is_printed(keys: mp.CurveKeys) -> None:
    server = mp.CurveServer(keys, [mp.CurveKeys.new().public])
    client = mp.CurveClient(keys.public, keys)
    for thing in (keys, server, client):
        assert keys.secret not in repr(thing) and keys.secret not in str(thing)
        assert keys.public in repr(thing)


def test_keys_survive_pickling_and_a_file_of_this_user(keys: mp.CurveKeys, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys.save(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert mp.CurveKeys.load(path) == keys == pickle.loads(pickle.dumps(keys))
    with pytest.raises(FileExistsError):
        keys.save(path)


def test_a_file_that_others_can_read_is_refused(keys: mp.CurveKeys, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys.save(path)
    path.chmod(0o644)
    with pytest.raises(OptionError, match="can be read by others: chmod 600"):
        mp.CurveKeys.load(path)


@pytest.mark.parametrize("text", ["", "x", "minipipe curve keys 1\na\nb\n", "\xff" * 50])
def test_another_file_is_refused_without_its_content(text: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(OptionError) as caught:
        mp.CurveKeys.load(path)
    assert "\xff\xff" not in str(caught.value)


@pytest.mark.parametrize(
    "key", [None, 3, b"k" * 40, "k" * 39, "k" * 41, "é" * 40, "~" * 40, "#" * 40]
)
def test_what_is_no_key_is_refused_and_not_shown(key: object) -> None:
    with pytest.raises(OptionError, match="is a key of CURVE") as caught:
        raw_key(key, "it")
    assert "kkkk" not in str(caught.value)


def test_a_pair_belongs_together(keys: mp.CurveKeys) -> None:
    other = mp.CurveKeys.new()
    with pytest.raises(OptionError, match="do not belong together") as caught:
        mp.CurveKeys(keys.public, other.secret)
    assert other.secret not in str(caught.value)


def test_a_server_has_a_list_of_clients(keys: mp.CurveKeys) -> None:
    with pytest.raises(OptionError, match="empty"):
        mp.CurveServer(keys, [])
    with pytest.raises(OptionError, match="list of public keys"):
        mp.CurveServer(keys, keys.public)
    with pytest.raises(OptionError, match=r"clients\[1\]"):
        mp.CurveServer(keys, [keys.public, "short"])
    with pytest.raises(OptionError, match="is a key pair"):
        mp.CurveServer(keys.public, [keys.public])  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="is a key pair"):
        mp.CurveClient(keys.public, keys.secret)  # type: ignore[arg-type]
