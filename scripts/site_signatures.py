"""An extension of Griffe (mkdocs.yml): the API shows segments with all of their options.

Griffe reads sources, and there most options stand behind `**options`; `inspect.signature` knows
them (minipipe/segments/signature.py).
"""

from __future__ import annotations

import inspect
from typing import Any

import griffe

import minipipe as mp

_KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
}


class SpelledOut(griffe.Extension):
    """Puts the whole signature in the place of the one that is written."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Goes through all public segments, once the package has been read."""
        if pkg.name != "minipipe":
            return
        for name in mp.__all__:
            value = getattr(mp, name)
            if isinstance(value, type) and issubclass(value, mp.Segment):
                place = f"{value.__module__}.{value.__name__}".removeprefix("minipipe.")
                _spell_out(pkg[place], value)


def _spell_out(found: Any, cls: type[mp.Segment]) -> None:
    parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
    parameters += [
        griffe.Parameter(
            name,
            kind=_KINDS[parameter.kind],
            annotation=None if parameter.annotation is parameter.empty else parameter.annotation,
            default=None if parameter.default is parameter.empty else repr(parameter.default),
        )
        for name, parameter in inspect.signature(cls).parameters.items()
    ]
    if "__init__" in found.members:
        found.members["__init__"].parameters = griffe.Parameters(*parameters)
    else:
        init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
        found.set_member("__init__", init)
