"""Classes on the wire: by name where the other side can import them, else by definition.

Where no definitions are accepted, as between hosts, the classes of the script that all workers were
given at their start (`know_script`) are named, too: `"__main__:Sample"`.

A class of `__main__`, of a notebook or of a function is known by a random token. Its definition, as
cloudpickle writes it, travels in the first parcel to a receiver that names the token, and again if
it is not among the most recent ones any more (`minipipe.protocol.delivery.recent`). The tokens
belong to the process, not to a connection: a class that came in goes out under the token it came
with, and one that comes home is the original.
"""

from __future__ import annotations

import importlib
import pickle
import secrets
import sys
import threading
from collections.abc import Callable, Container, Mapping
from functools import reduce
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

from cloudpickle import cloudpickle

from minipipe.codec import pickled
from minipipe.codec.reductions import being_defined
from minipipe.errors import WireFormatError
from minipipe.process.importing import importing_for_worker, travel_by_value_if_hidden

TOKEN_BYTES = 16
MAIN = "__main__"
MAINS = (MAIN, "__mp_main__")  # the latter in a process that multiprocessing has spawned

# cloudpickle names these itself, though they cannot be found under their names.
_NAMED_BY_PICKLE = frozenset({type(None), type(Ellipsis), type(NotImplemented)})


class Definition(NamedTuple):
    """What it takes to make a class in another process."""

    token: bytes
    blob: bytes
    needs: tuple[tuple[bytes, bytes], ...]
    """Token and blob of each class that must be known first, in that order."""


# Re-entrant: writing the definition of a class finds others that need one.
_lock = threading.RLock()
_definitions: WeakKeyDictionary[type, Definition] = WeakKeyDictionary()
_by_token: WeakValueDictionary[bytes, type] = WeakValueDictionary()
_references: WeakKeyDictionary[type, str] = WeakKeyDictionary()
_script: Mapping[str, bytes] = {}  # what this worker was given of the script's classes


def reference(cls: type) -> str | None:
    """Returns `"module:qualname"`, or None for a class whose definition must travel."""
    name = _references.get(cls)
    if name is None:
        travel_by_value_if_hidden(cls.__module__)
    if name is None and cls not in _definitions and cloudpickle._should_pickle_by_reference(cls):
        name = _references[cls] = f"{cls.__module__}:{cls.__qualname__}"
    return name


def know_script(pickles: Mapping[str, bytes]) -> None:
    """This worker names, and finds, these classes of the script, as all workers of the run do.

    Args:
        pickles: of each class at the top of the script, by its name.  Loaded when an item first
            needs it, and not at the start: its methods may need modules that are not everywhere.
    """
    global _script
    _script = pickles


def name_in_script(cls: type) -> str | None:
    """The name of a class that all workers have from the script; None: it is none of these."""
    top = cls.__qualname__.partition(".")[0]
    if cls.__module__ not in MAINS or top not in _script:
        return None
    found: Any = sys.modules[MAIN]
    for part in cls.__qualname__.split("."):
        found = vars(found).get(part)
        if not isinstance(found, type):
            return None
    return f"{MAIN}:{cls.__qualname__}" if found is cls else None


def is_by_value(cls: type) -> bool:
    """Whether pickle, too, would need the definition."""
    if cls in _NAMED_BY_PICKLE or cls in cloudpickle._BUILTIN_TYPE_NAMES:
        return False
    return reference(cls) is None


def definition_of(cls: type) -> Definition:
    """Returns the definition of a class by value, made when it is first asked for.

    (What is assigned to the class later does not travel.)
    """
    with _lock:
        found = _definitions.get(cls)
        if found is not None:
            return found
        needs: dict[bytes, bytes] = {}

        def name_class(other: type) -> bytes | None:
            # Two classes that need each other: the inner definition has the outer one inside, and
            # cloudpickle, which numbers the classes it takes apart, makes only one of the two.
            if other in being_defined or not is_by_value(other):
                return None
            inner = definition_of(other)
            needs.update(inner.needs)
            needs[inner.token] = inner.blob
            return inner.token

        being_defined.add(cls)
        try:
            blob = pickled.dump(cls, name_class, joins_main=True)
        finally:
            being_defined.discard(cls)
        found = Definition(secrets.token_bytes(TOKEN_BYTES), blob, tuple(needs.items()))
        _by_token[found.token] = cls
        _definitions[cls] = found
        return found


class Named:
    """A class that parcels name by its token. It is made when an item first needs it.

    Args:
        token: The class's.
        blob: Its definition.
    """

    __slots__ = ("_blob", "_cls", "_token")

    def __init__(self, token: bytes, blob: bytes) -> None:
        self._token = token
        self._blob: bytes | None = blob
        # Strong: the process as a whole knows a class only as long as somebody does.
        self._cls: type | None = None

    def resolved(self, class_of: Callable[[bytes], type]) -> type:
        """Returns the class. Making it runs code of the user's, which may raise anything.

        Args:
            class_of: Returns the class of another token, which the definition needs.
        """
        if self._cls is None:
            assert self._blob is not None
            self._cls = learn(self._token, self._blob, class_of)
            self._blob = None
        return self._cls


def learn(token: bytes, blob: bytes, class_named: Callable[[bytes], type]) -> type:
    """Returns the class of a definition; the same one when it was learned before, or is from here.

    Args:
        token: The class's.
        blob: Its definition.
        class_named: Returns the class of another token, which the definition needs.

    Raises:
        WireFormatError: It makes no class.
    """
    with _lock:
        known = _by_token.get(token)
        if known is not None:
            return known
        needs: dict[bytes, bytes] = {}

        def class_of(other: bytes) -> type:
            cls = class_named(other)
            inner = _definitions[cls]
            needs.update(inner.needs)
            needs[other] = inner.blob
            return cls

        cls = pickled.load(blob, class_of)
        if not isinstance(cls, type):
            raise WireFormatError(f"a definition made a {type(cls).__name__}, not a class")
        _by_token[token] = cls
        _definitions.setdefault(cls, Definition(token, blob, tuple(needs.items())))
        return cls


def resolve(name: str, *, may_import: bool, importable: Container[str] = ()) -> type:
    """Returns the class of a `"module:qualname"`, as `look_up` does.

    Raises:
        WireFormatError: There is no such class.
    """
    found = look_up(name, may_import=may_import, importable=importable)
    if not isinstance(found, type):
        raise WireFormatError(f"{name!r:.200} is a {type(found).__name__} here, not a class")
    return found


_ONLY_LOADED = (
    " (only modules that are loaded already are looked at: whoever reads it has to import it)"
)


def look_up(name: str, *, may_import: bool, importable: Container[str] = ()) -> object:
    """Returns what a `"module:qualname"` refers to.

    Args:
        name: The reference.
        may_import: Otherwise only what is there already is looked at, and only as it lies there:
            asking a module for an attribute can run code of its own (PEP 562).
        importable: The modules that are imported all the same.

    Raises:
        WireFormatError: There is nothing.
    """
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    try:
        if module is None and (may_import or module_name in importable):
            with importing_for_worker():
                module = importlib.import_module(module_name)
        found: Any = module
        if may_import:
            found = reduce(getattr, qualname.split("."), found)
        elif module is None:
            raise ImportError(f"module {module_name!r:.200} is not loaded")
        else:
            if module_name == MAIN:
                _load_of_script(module, qualname.partition(".")[0])
            for part in qualname.split("."):
                found = vars(found)[part]
    except (ImportError, AttributeError, KeyError, TypeError, ValueError) as exc:
        hint = "" if may_import else _ONLY_LOADED
        raise WireFormatError(f"class {name!r:.200} is not known here{hint}: {exc}") from exc
    return found


def _load_of_script(main: ModuleType, name: str) -> None:
    """Makes a class of the script, if it was given to this worker and is not there yet.

    Raises:
        ImportError: it cannot be made here.
    """
    if name in vars(main) or name not in _script:
        return
    try:
        with _lock, importing_for_worker():
            pickle.loads(_script[name])  # which puts it there (`process.by_value`)
    except Exception as error:  # whatever what it needs raises as it is imported
        raise ImportError(f"it cannot be made here ({type(error).__name__}: {error})") from error
