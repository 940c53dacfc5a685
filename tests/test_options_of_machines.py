"""The options of runs that other machines join, and of segments that run there."""

from __future__ import annotations

from pathlib import Path

import pytest

import minipipe as mp
from minipipe.segments.settings import set_option
from minipipe.supervisor.hosting import Hosting, check_hosting


def test_without_bind_there_are_no_other_machines() -> None:
    assert check_hosting({}) is None


def test_what_is_given_is_kept(tmp_path: Path) -> None:
    hosting = check_hosting(
        {
            "bind": "tcp://0.0.0.0:7711",
            "name": "imagenet",
            "token_file": "token",
            "place_timeout_s": 5,
            "ship": ["models", tmp_path],
        }
    )
    token = str(Path("token").absolute())
    given = ("tcp://0.0.0.0:7711", "imagenet", token, None, 5.0)
    assert hosting == Hosting(*given, ship=("models", str(tmp_path)))


def test_the_run_has_the_name_of_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/home/me/train net.py"])
    hosting = check_hosting({"bind": "tcp://[::]:0"})
    assert hosting is not None
    assert hosting.name == "train-net"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "x"}, "name='x' of run is about other machines.*add bind='tcp://0.0.0.0:7711'"),
        ({"ship": False}, "ship=False of run is about other machines"),
        ({"bind": 7711}, "bind of run is 'tcp://HOST:PORT', as in .*, got 7711"),
        ({"bind": "0.0.0.0:7711"}, "got '0.0.0.0:7711'$"),
        ({"bind": "ipc:///tmp/x"}, "got 'ipc:///tmp/x'$"),
        ({"bind": "tcp://0.0.0.0:70000"}, "got 'tcp://0.0.0.0:70000': the port is a number from"),
        ({"bind": "tcp://::1:7711"}, "IPv6 address stands in brackets"),
        ({"bind": "tcp://*:1", "name": "a b"}, "name of run is a short text"),
        ({"bind": "tcp://*:1", "security": "tls"}, "security of run is 'curve' or 'none', got"),
        ({"bind": "tcp://*:1", "lost_after_s": 0}, "lost_after_s of run is a positive number"),
        ({"bind": "tcp://*:1", "lost_after_s": None}, "positive number of seconds, got None"),
        ({"bind": "tcp://*:1", "state_lost_after_s": 1}, r"at least lost_after_s \(15 s\), got 1"),
        ({"bind": "tcp://*:1", "ship": "models"}, r"ship of run is True .*, got 'models'"),
        ({"bind": "tcp://*:1", "ship": [3]}, r"ship of run is True .*, got 3"),
        ({"bind": "tcp://*:1", "allow_pickle": 1}, "allow_pickle of run is True or False, got 1"),
    ],
)
def test_what_cannot_be_is_said(given: dict[str, object], said: str) -> None:
    with pytest.raises(mp.OptionError, match=said):
        check_hosting(given)


def test_a_run_that_is_inline_cannot_be_joined() -> None:
    pline = mp.PipeLine().add(mp.Source([1])).build(inline=True)
    with pytest.raises(mp.OptionError, match=r"built inline.*leave bind= away"):
        pline.run(bind="tcp://127.0.0.1:0")
    assert list(pline) == [1]
    assert pline.token is None


def test_a_run_says_what_its_options_are_called() -> None:
    with pytest.raises(mp.OptionError, match="did you mean 'bind'"):
        mp.PipeLine().run(address="tcp://0.0.0.0:7711")
    with pytest.raises(mp.OptionError, match="did you mean 'on'"):
        mp.Transform(abs, node="a")  # type: ignore[call-arg]
    with pytest.raises(mp.OptionError, match="'bind'; it is an option of run"):
        mp.PipeLine().build(bind="tcp://0.0.0.0:7711")


# ------------------------------------------------------------------------- on=
class Keeps:
    def run(self, item: int) -> int:
        return item


def test_functions_may_run_anywhere_and_what_keeps_state_here() -> None:
    assert mp.Transform(abs).place_of(0) == "any"
    assert mp.Transform(Keeps(), restart=True).place_of(0) == "any"
    for segment in (mp.Source([1]), mp.Transform(Keeps()), mp.Sink(print), mp.Batch(2)):
        assert segment.place_of(0) == "local"
    assert mp.Sink(print, on="any").place_of(0) == "any"
    assert mp.Transform(abs, on="gpu").place_of(3) == "gpu"


def test_counts_place_each_worker() -> None:
    segment = mp.Transform(abs, on={"gpu": 2, "local": 1})
    assert segment.n_processes == 3
    assert [segment.place_of(index) for index in range(5)] == ["gpu", "gpu", *["local"] * 3]


@pytest.mark.parametrize(
    ("on", "said"),
    [
        (3, r"on of Transform 'Transform' is 'local', 'any', a tag.*, got 3"),
        ({}, r"got \{\}"),
        ("", "got ''"),
        ("a b", "got 'a b'"),
        ("Local", "did you mean 'local'"),
        ({"gpu": 0}, "how many workers run at each place, at least 1, got 'gpu': 0"),
        ({"gpu": True}, "got 'gpu': True"),
        ({3: 1}, r"got \{3: 1\}"),
    ],
)
def test_a_place_that_is_none_is_said(on: object, said: str) -> None:
    with pytest.raises(mp.OptionError, match=said):
        mp.Transform(abs, on=on)  # type: ignore[arg-type]


def test_counts_and_processes_are_as_many() -> None:
    with pytest.raises(
        mp.OptionError, match=r'places 1 workers, and n_processes=3: place "any": 2'
    ):
        mp.Transform(abs, on={"gpu": 1}, n_processes=3)
    with pytest.raises(mp.OptionError, match="place fewer of them"):
        mp.Transform(abs, on={"gpu": 2, "any": 2}, n_processes=3)
    segment = mp.Transform(abs, on={"gpu": 2})
    with pytest.raises(mp.OptionError, match="places 2 workers, and n_processes=4"):
        set_option(segment, "n_processes", 4)
    set_option(segment, "on", "cpu")
    set_option(segment, "n_processes", 4)
    assert segment.place_of(3) == "cpu"
