"""An exception in the native form: its class by name, and what it holds, as far as that is plain.

It is put together without its constructor, and only if its class is here already: nothing is
imported for it.  Of the code of its class only its `__str__` runs.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, Final

from minipipe.codec import classes
from minipipe.errors import WireFormatError
from minipipe.process.describe import abridged
from minipipe.stream import native_form

_MAINS: Final = {"__mp_main__": "__main__"}  # what multiprocessing calls the script in a child
_NOTES: Final = "__notes__"
# What builtin classes hold beside their arguments and fields.
_HELD: Final[Mapping[type[Exception], tuple[str, ...]]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("msg", "name", "path"),
}


def write(error: BaseException) -> bytes:
    """An exception as bytes.

    An argument that has no native form is there in words; a field that has none is not.
    """
    kind = type(error)
    name = f"{_MAINS.get(kind.__module__, kind.__module__)}:{kind.__qualname__}"
    args = tuple(arg if _is_native(arg) else abridged(arg) for arg in error.args)
    fields = {key: value for key, value in vars(error).items() if _is_native(value)}
    return native_form.write((name, args, fields, _held_by(error)))


def _is_native(value: object) -> bool:
    try:
        native_form.write(value)
    except Exception:  # an ItemTypeError, or what a property of the user's class raises
        return False
    return True


def _held_by(error: BaseException) -> dict[str, object]:
    names = (name for kind in _HELD if isinstance(error, kind) for name in _HELD[kind])
    held = ((name, getattr(error, name, None)) for name in names)
    return {name: value for name, value in held if isinstance(value, str | bytes | int)}


def read(data: bytes) -> Exception:
    """The exception of what `write` wrote.

    Raises:
        WireFormatError: it is none, or its class is not known here, or cannot be made this way.
    """
    said = native_form.read(data)
    if type(said) is not tuple or tuple(map(type, said)) != (str, tuple, dict, dict):
        raise WireFormatError("it is no exception")
    name, args, fields, held = said
    kind = classes.resolve(name, may_import=False)
    if not issubclass(kind, Exception):
        raise WireFormatError(f"{name!r:.200} is no class of exceptions here")
    try:
        error = _made(kind, args)
        own: dict[Any, Any] = object.__getattribute__(error, "__dict__")
        own.update({key: value for key, value in fields.items() if _may_have(key, value)})
        for base in _HELD:
            if isinstance(error, base):
                for key in _HELD[base]:
                    if type(held.get(key)) in (str, bytes, int):
                        vars(base)[key].__set__(error, held[key])
        str(error)
    except BaseException as cause:  # the `__str__` of a class; a class with a form of its own
        raise WireFormatError(f"a {name!r:.200} cannot be made of what came") from cause
    return error


def _made(kind: type[Exception], args: tuple[Any, ...]) -> Exception:
    """An instance, made by the builtin class that it derives from alone."""
    base = next(one for one in kind.__mro__ if vars(builtins).get(one.__name__) is one)
    error: Exception = base.__new__(kind, *args)
    if issubclass(kind, UnicodeError) and base is not UnicodeError:
        _check_range(args, bytes if issubclass(kind, UnicodeDecodeError) else str)
        base.__init__(error, *args)
    elif issubclass(kind, SyntaxError):
        base.__init__(error, *args)
    BaseException.__setattr__(error, "args", args)  # its class may be a frozen dataclass
    return error


def _check_range(args: tuple[Any, ...], of: type[str] | type[bytes]) -> None:
    """Some versions of Python read what it says past the end of the text, or before it."""
    *_, text, start, end, _ = args
    if not isinstance(text, of) or not 0 <= start <= end <= len(text):
        raise ValueError("it is about a place outside of its text")


def _may_have(key: object, value: object) -> bool:
    """Whether an exception may have such a field: more notes are added to those that it has."""
    if key != _NOTES:
        return type(key) is str
    return type(value) is list and all(type(note) is str for note in value)
