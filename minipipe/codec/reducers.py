"""How the pickler of items takes apart what is to travel in another way than it says itself.

By class: what is not in the table is looked at when it is met first.
"""

from __future__ import annotations

import copyreg
import operator
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from minipipe.codec import arrays, classes, registry
from minipipe.codec.beside import IN_BAND_BYTES, Beside
from minipipe.codec.dtypes import NAMES
from minipipe.codec.library import ArrayForm, Library, Reduced
from minipipe.codec.nodes import WriteNode
from minipipe.codec.parcel_slot import as_bytes
from minipipe.codec.preset import Preset, dtype_ref
from minipipe.codec.rebuild import array_over, fortran_array_over, given
from minipipe.codec.wire import NotNativeError
from minipipe.process.by_value import is_forwarding, plain

Reducer: TypeAlias = "Callable[[Any], Reduced | str]"

# Classes that it knows how to take apart. Beyond that it forgets them: a program may well make
# a class for each item.
_KINDS = 64

_as_it_says: Reducer = operator.methodcaller("__reduce_ex__", 5)
_buffer: Any = pickle.PickleBuffer
_scalar: Any = np.float64(0).__reduce__()[0]
_AS_ANY = Library().reduce
_NO_CLASSES: Mapping[bytes, bytes] = MappingProxyType({})
_NOTHING: Any = bytearray()


class UnsuitedError(Exception):
    """An item would not arrive as it should. Never leaves the codec."""


class PresetGrownError(Exception):
    """The item is to be pickled anew. Never leaves the codec."""


class Reducers(dict[type, Reducer]):
    """The dispatch table of a pickler.

    Args:
        beside: Takes what lies beside the pickle.

    Attributes:
        preset: What the pickler knows by its place in the memo.
        array_forms: Of the classes that were met.
        may_renew: Whether the preset may be begun anew for the item that is being pickled.
    """

    def __init__(self, beside: Beside) -> None:
        super().__init__()
        self.preset = Preset()
        self.array_forms: dict[type, ArrayForm] = {}
        self.may_renew = True
        self._beside = beside
        self._large_array = self._node(arrays.WRITERS[np.ndarray], Library())

    def __missing__(self, kind: type) -> Reducer:
        """Returns how the instances of a class are taken apart.

        Raises:
            PresetGrownError: That is known from now on.
            UnsuitedError: The pickler must not do that.
        """
        reduce = self._reducer_of(kind)
        if len(self) >= _KINDS:
            self.clear()
        self[kind] = reduce
        return reduce

    def _knows(self, obj: object, name: str) -> bool:
        """Whether something can be pickled by now: from the next try on it is in the preset."""
        return id(obj) in self.preset.objects or self.preset.is_full or self._added(obj, name)

    def _knows_function(self, function: Callable[..., Any]) -> bool:
        return self._knows(function, f"{function.__module__}:{function.__qualname__}")

    def _knows_class(self, cls: type) -> bool:
        name = classes.reference(cls)
        if name is not None:
            return self._knows(cls, name)
        if id(cls) in self.preset.objects or not classes.is_by_value(cls):
            return True  # pickle has its own ways for the latter
        try:
            made = classes.definition_of(cls)
        except Exception:  # of Cython's, say, whose instances have names; else that will be seen
            return True
        if self.preset.is_full:
            if not self.may_renew:
                raise UnsuitedError  # one item has that many classes of the script
            self.may_renew = False
            self.preset = Preset()
            self.clear()  # which relies on what stood there
        return self._added(cls, made.token, {**dict(made.needs), made.token: made.blob})

    def _added(
        self,
        obj: object,
        ref: str | bytes,
        definitions: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> bool:
        self.preset.add(obj, ref, definitions)
        return False

    def _reducer_of(self, kind: type) -> Reducer:
        if kind is np.ndarray:
            return self._array
        if issubclass(kind, type):
            return self._class
        library = registry.library_of(kind)
        reduce = _AS_ANY if library is None else library.reduce
        if library is not None and library.in_pickles:
            write = library.writer_for(kind)
            if write is not None:
                if library.as_array is not None:
                    self.array_forms[kind] = library.as_array
                return self._node(write, library)
        is_known = self._knows_class(kind)
        if issubclass(kind, np.generic):
            is_known &= self._knows_function(_scalar)
        elif issubclass(kind, np.dtype):
            is_known &= self._knows(np.dtype, "numpy:dtype")
        if not is_known:
            raise PresetGrownError
        registered: Reducer | None = copyreg.dispatch_table.get(kind)
        if registered is not None:
            return registered
        if is_forwarding(kind) and kind.__reduce_ex__ is object.__reduce_ex__:
            return _reduced_by(plain)
        return _as_it_says if reduce is _AS_ANY else _reduced_by(reduce)

    def _class(self, cls: type) -> str:
        # One without a metaclass is not asked for here: pickle names it.
        if classes.is_by_value(cls) and not self._knows_class(cls):
            raise PresetGrownError
        return cls.__qualname__

    def _node(self, write: WriteNode, library: Library) -> Reducer:
        """Returns what takes values apart that have a node, which lies beside the pickle."""
        otherwise, form = _reduced_by(library.reduce), library.as_array

        def reduce(value: Any) -> Reduced | str:
            if form is not None:
                array = form.array_of(value)
                if array is not None and array.nbytes < IN_BAND_BYTES:
                    if not self._knows_function(form.value_over):
                        raise PresetGrownError
                    return form.value_over, (array,)
            if not self._knows_function(given):
                raise PresetGrownError
            try:
                self._beside.stage(write(self._beside.writer, value))
            except NotNativeError:
                return otherwise(value)
            return given, (_buffer(_NOTHING),)

        return reduce

    def _array(self, array: Any) -> Reduced | str:
        dtype, flags = array.dtype, array.flags
        if array.nbytes >= IN_BAND_BYTES and not dtype.hasobject:
            return self._large_array(array)
        name = NAMES.get(id(dtype))
        if name is None:
            return self._odd_array(array)
        rebuild = array_over if flags.c_contiguous else fortran_array_over
        known = self.preset.objects
        if id(dtype) not in known or id(rebuild) not in known:
            is_known = self._knows(dtype, dtype_ref(name))
            if not (self._knows_function(rebuild) and is_known):
                raise PresetGrownError
        if not flags.forc:
            array, rebuild = array.copy(), array_over
        return rebuild, (_buffer(array), dtype, array.shape)

    def _odd_array(self, array: Any) -> Reduced | str:
        """Does the same for an array of a dtype that has no name, such as a structured one."""
        dtype, flags = array.dtype, array.flags
        if dtype.hasobject or not dtype.itemsize:
            return _as_it_says(array)
        rebuild = array_over if flags.c_contiguous or not flags.forc else fortran_array_over
        if not self._knows_function(rebuild):
            raise PresetGrownError
        # NumPy itself would lose the byte order of one that has gaps.
        whole = array if flags.forc else array.copy()
        return rebuild, (_buffer(as_bytes(whole)), dtype, array.shape)


def _reduced_by(reduce: Callable[[Any], Reduced | None]) -> Reducer:
    """Returns how to take values apart that are to be pickled in this way, if there is one."""

    def reduced(value: Any) -> Reduced | str:
        found = reduce(value)
        return _as_it_says(value) if found is None else found

    return reduced
