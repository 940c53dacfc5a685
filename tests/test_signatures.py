"""help() and editors see every option of every segment by its name."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import minipipe as mp
from minipipe.segments import signature
from minipipe.segments.signature import OPTIONS

SEGMENTS = [
    value
    for name in mp.__all__
    if isinstance(value := getattr(mp, name), type) and issubclass(value, mp.Segment)
]


def takes_any(cls: type[mp.Segment]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cls).parameters.values())


@pytest.mark.parametrize("cls", SEGMENTS)
def test_no_option_hides_behind_others(cls: type[mp.Segment]) -> None:
    assert not takes_any(cls)
    parameters = inspect.signature(cls).parameters
    assert {"name", "n_processes", "timeout_s", "max_failures"} <= set(parameters)
    assert set(parameters) - {*OPTIONS, *cls.options} <= {
        "functor_obj",
        "files",
        "path",
        "f",
        "n",
    } | {*inspect.signature(cls.__init__).parameters}


def test_the_signature_begins_as_it_is_called() -> None:
    assert str(inspect.signature(mp.Source)).startswith(
        "(functor_obj: 'Any', name: 'str' = 'Source'"
    )
    assert next(iter(inspect.signature(mp.Batch).parameters)) == "n"


def test_what_makes_no_sense_is_not_offered() -> None:
    assert "upstreams" not in inspect.signature(mp.Source).parameters
    assert "downstreams" not in inspect.signature(mp.Sink).parameters
    assert "ordered" not in inspect.signature(mp.Regulator).parameters
    assert "retries" not in inspect.signature(mp.MemoryMap).parameters
    assert "ordered" in inspect.signature(mp.Transform).parameters


def test_help_shows_them() -> None:
    text = pydoc.plain(pydoc.render_doc(mp.Transform))
    first = text.split("Makes one item of one item")[0]
    assert "start_timeout_s: 'float | None' = None" in first and "**" not in first


def test_type_checkers_see_the_same_options() -> None:
    listed = set(signature.SegmentOptions.__annotations__)
    own = set(inspect.signature(mp.Segment.__init__).parameters)
    streams = {"upstreams", "downstreams", "ignore_exceptions", "init_kwargs"}
    assert listed == own - streams - {"self", "functor_obj", "name", "unknown"}
    assert set(signature.RegulatorOptions.__annotations__) == listed | streams | {"strict"}
    assert set(signature.PartOptions.__annotations__) == listed | {
        *("downstreams", "ignore_exceptions", "init_kwargs", "epochs", "length")
    }


def test_an_option_that_does_not_exist_is_an_error_as_before() -> None:
    with pytest.raises(mp.OptionError, match="did you mean 'n_processes'"):
        mp.Transform(abs, num_workers=4)  # type: ignore[call-arg]
