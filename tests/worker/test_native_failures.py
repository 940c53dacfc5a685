"""Failures and results where nothing may be unpickled: all that is plain arrives, no code does."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minipipe as mp
from minipipe.errors import WireFormatError
from minipipe.stream import native_form
from minipipe.transport import LOCAL, NATIVE
from minipipe.worker import failure_forms, native_errors, returned
from minipipe.worker.failure import Failure, capture

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


class OwnError(ValueError):
    """Of the user's: what it is called with is not what it passes on."""

    def __init__(self, what: str, shelf: int, **more: Any) -> None:
        super().__init__(what)
        self.shelf = shelf
        self.__dict__.update(more)

    def __str__(self) -> str:
        return f"{self.args[0]} in shelf {self.shelf}"


class TouchyError(OSError):
    """One whose code does something: none of it may run, but for its `__str__`."""

    ran: ClassVar[list[str]] = []

    def __new__(cls, *args: Any) -> TouchyError:
        cls.ran.append("__new__")
        return super().__new__(cls, *args)

    def __init__(self, *args: Any) -> None:
        self.ran.append("__init__")
        super().__init__(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("it is frozen")

    def __setstate__(self, state: Any) -> None:
        self.ran.append("__setstate__")


def caught(function: Callable[[], Any]) -> Failure:
    """What is known of what a function raises."""
    try:
        function()
    except Exception as error:
        return capture(error, "its functor", origin=1, number=3, item=[0], path=(0, 1))
    raise AssertionError("it raised nothing")


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> None:
        raise error

    return function


def travelled(failure: Failure) -> Failure:
    report = failure_forms.write(failure, NATIVE)
    assert not native_form.is_pickle(report)
    return failure_forms.read(report)


@given(PLAIN)
@settings(max_examples=50, deadline=None)
def test_what_is_plain_arrives_as_it_was(value: Any) -> None:
    assert native_form.read(native_form.write(value)) == value
    assert returned.read(returned.write(value, NATIVE)) == value


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_bytes_of_anything_are_refused_and_nothing_worse(data: bytes) -> None:
    for read in (native_form.read, failure_forms.read, native_errors.read):
        with pytest.raises(WireFormatError):
            read(native_form.NATIVE + data)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_report_that_is_damaged_is_refused_or_another_one(data: st.DataObject) -> None:
    whole = failure_forms.write(caught(lambda: [][1]), NATIVE)
    at = data.draw(st.integers(1, len(whole) - 1))
    cut = data.draw(st.booleans())
    damaged = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
    try:
        failure = failure_forms.read(damaged)
    except WireFormatError:
        return
    assert isinstance(failure.exception("here"), Exception)


def test_all_that_is_said_of_a_failure_arrives() -> None:
    sent = caught(raising(ValueError("no \udc80")))
    came = travelled(sent)
    assert came.pickled is None
    same = ("pid", "doing", "origin", "number", "value", "type_name", "text", "trace", "path")
    assert {n: getattr(came, n) for n in same} == {n: getattr(sent, n) for n in same}
    error = came.exception("over there")
    assert (type(error), error.args) == (ValueError, ("no \udc80",))
    assert error.__notes__ == ["minipipe: over there"]
    assert "in raising" in str(error.__cause__) or "function" in str(error.__cause__)


RAISED: dict[str, Callable[[], Any]] = {
    "a lookup": lambda: {}["key"],
    "a file": lambda: Path("/no/such/file").read_bytes(),
    "two files": lambda: Path("/no/such/file").rename("/no/such/other"),
    "bytes": lambda: b"\xff".decode(),
    "text": lambda: "\xff".encode("ascii"),
    "syntax": lambda: compile("a b", "script.py", "exec"),
    "an import": lambda: __import__("no_such_module_at_all"),
    "JSON": lambda: json.loads("{"),
    "a division": lambda: 1 // 0,
    "an attribute": lambda: object().x,  # type: ignore[attr-defined]
    "a process": lambda: subprocess.run([sys.executable, "-c", "1/0"], check=True, stderr=-3),
    "an archive": lambda: zipfile.ZipFile(__file__),
    "NumPy": lambda: np.zeros(3) + np.zeros(4),
    "its own": raising(OwnError("no room", 7)),
    "notes": lambda: noted(),
}


def noted() -> None:
    error = KeyError("x")
    error.add_note("first")
    raise error


@pytest.mark.parametrize("name", RAISED)
def test_an_exception_arrives_as_it_was_raised(name: str) -> None:
    try:
        RAISED[name]()
    except Exception as error:
        raised = error
    came = travelled(caught(RAISED[name])).exception("there")
    assert (type(came), str(came), came.args) == (type(raised), str(raised), raised.args)
    assert came.__notes__ == [*getattr(raised, "__notes__", []), "minipipe: there"]
    if isinstance(came, OSError) and isinstance(raised, OSError):
        assert (came.errno, came.filename) == (raised.errno, raised.filename)


def test_what_has_no_native_form_is_told_in_words_or_left_out() -> None:
    lock = threading.Lock()
    came = travelled(caught(raising(OwnError("no", 3, lock=lock, mean=np.float32(0.5)))))
    error: Any = came.exception("there")
    assert type(error) is OwnError
    assert (error.shelf, error.mean) == (3, 0.5)
    assert not hasattr(error, "lock")
    other = travelled(caught(raising(KeyError(mp.Batch)))).exception("there")
    assert type(other) is KeyError
    assert "Batch" in other.args[0]


def test_of_the_code_of_a_class_no_more_than_its_str_runs() -> None:
    TouchyError.ran.clear()
    failure = caught(lambda: raising(TouchyError(2, "no such thing", "file.txt"))())
    report = failure_forms.write(failure, NATIVE)
    TouchyError.ran.clear()
    error: Any = failure_forms.read(report).exception("there")
    assert TouchyError.ran == []
    assert type(error) is TouchyError
    assert (error.errno, error.filename) == (2, "file.txt")
    assert str(error) == "[Errno 2] no such thing: 'file.txt'"
    assert isinstance(error.__cause__, mp.errors.RemoteTraceback)


def crafted(name: str, args: Any = (), fields: Any = None, held: Any = None) -> bytes:
    """An exception that somebody has made by hand."""
    return native_form.write((name, args, fields or {}, held or {}))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("antigravity:X", "only modules that are loaded already are looked at"),
        ("minipipe.errors:StartError.__init__", "not known here"),
        ("builtins:int", "no class of exceptions"),
        ("builtins:SystemExit", "no class of exceptions"),
        ("builtins:KeyboardInterrupt", "no class of exceptions"),
        ("os:system", "not a class"),
        ("subprocess:Popen", "no class of exceptions"),
        ("builtins:ExceptionGroup", "cannot be made"),
        ("", "not known here"),
    ],
)
def test_a_class_that_is_none_to_be_raised_is_refused(name: str, why: str) -> None:
    data = crafted(name, ("true",))
    with pytest.raises(WireFormatError, match=why):
        native_errors.read(data)
    assert "antigravity" not in sys.modules
    failure = Failure(1, "its functor", 1, 2, "x", "Odd", "said", "trace", None, native=data)
    error = failure.exception("there")
    assert isinstance(error, mp.FunctorError)
    assert str(error) == "Odd: said"
    first, second = error.__notes__
    assert first == "minipipe: there"
    assert why in second


def test_an_end_that_is_sent_as_an_exception_ends_nothing() -> None:
    for name in ("StopIteration", "StopAsyncIteration"):
        data = crafted(f"builtins:{name}")
        failure = Failure(1, "its functor", 1, 2, "x", name, "", "trace", None, native=data)
        assert isinstance(failure.exception("there"), mp.FunctorError)


@pytest.mark.parametrize("start", [-(10**15), 10**15])
def test_a_place_outside_of_the_text_is_refused(start: int) -> None:
    args = ("utf-8", b"abc", start, start + 1, "no")
    with pytest.raises(WireFormatError, match="cannot be made"):
        native_errors.read(crafted("builtins:UnicodeDecodeError", args))


def test_fields_that_hide_what_is_called_do_no_harm() -> None:
    fields = {"add_note": 5, "__notes__": "none", "__class__": 7, "with_traceback": 1, "__str__": 2}
    data = crafted("builtins:ValueError", ("no",), fields)
    failure = Failure(1, "its functor", 1, 2, "x", "ValueError", "no", "", None, native=data)
    error = failure.exception("there")
    assert (type(error), str(error)) == (ValueError, "no")
    assert error.__notes__ == ["minipipe: there"]


def test_a_module_that_says_it_is_asked_for_names_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = ModuleType("lazy_errors")
    asked: list[str] = []
    module.__getattr__ = asked.append
    monkeypatch.setitem(sys.modules, "lazy_errors", module)
    with pytest.raises(WireFormatError, match="not known here"):
        native_errors.read(crafted("lazy_errors:AnyError"))
    assert asked == []


def test_a_failure_of_other_types_is_refused() -> None:
    good = native_form.read(failure_forms.write(caught(lambda: [][1]), NATIVE))
    wrong: list[Any] = [None, good[:-1], (*good, 1), list(good)]
    wrong += [(*good[:i], {}, *good[i + 1 :]) for i in range(len(good))]
    wrong.append((*good[:-2], ("a",), None))
    for value in wrong:
        with pytest.raises(WireFormatError):
            failure_forms.read(native_form.write(value))


def test_a_native_failure_can_bring_no_pickle_along() -> None:
    """Whatever a field holds, it is not unpickled: there is no place for one."""
    names = [name for name in Failure.__dataclass_fields__ if name != "pickled"]  # type: ignore[attr-defined]
    good = native_form.read(failure_forms.write(caught(lambda: [][1]), NATIVE))
    assert len(good) == len(names)
    blob = pickle.dumps(ValueError("no"))
    failure = failure_forms.read(native_form.write((*good[:-1], blob)))
    assert failure.pickled is None
    assert isinstance(failure.exception("there"), mp.FunctorError)


def test_between_processes_of_one_machine_it_is_pickled_as_ever() -> None:
    sent = caught(raising(OwnError("no", 3, extra=mp.Batch)))
    report = failure_forms.write(sent, LOCAL)
    assert native_form.is_pickle(report)
    error: Any = failure_forms.read(report).exception("there")
    assert error.extra is mp.Batch
    assert returned.read(returned.write(mp.Batch, LOCAL)) is mp.Batch


def test_nothing_is_what_none_comes_to() -> None:
    assert returned.write(None, NATIVE) == returned.write(None, LOCAL) == b""
    assert returned.read(b"") is None
    assert not native_form.is_pickle(b"")
    with pytest.raises(WireFormatError):
        failure_forms.read(b"")


def test_an_array_that_was_returned_can_be_written_to() -> None:
    result = {"weights": np.arange(100_000.0), "few": np.zeros(3), "name": "x" * 10_000}
    came = returned.read(returned.write(result, NATIVE))
    assert np.array_equal(came["weights"], result["weights"])
    came["weights"][0] = came["few"][0] = 1.0
    assert came["name"] == result["name"]


class Model:
    def __repr__(self) -> str:
        return "Model(of two layers)"


@pytest.mark.parametrize(
    ("result", "where"),
    [
        (Model(), "what local_term returned of type tests.worker.test_native_failures.Model"),
        ({"best": [Model()]}, r"what local_term returned\['best'\]\[0\] of type tests\.worker"),
    ],
)
def test_a_result_without_a_native_form_is_an_error_that_says_what_to_do(
    result: object, where: str
) -> None:
    with pytest.raises(mp.ItemTypeError, match=where) as told:
        returned.write(result, NATIVE)
    assert "allow_pickle=True" in str(told.value)
    assert "return numbers, texts, arrays" in str(told.value)
    assert "in words it is" in str(told.value)
    assert "Model(of two layers)" in str(told.value)
