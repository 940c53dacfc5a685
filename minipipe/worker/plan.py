"""What a zygote is to import, as its supervisor tells it."""

from __future__ import annotations

from collections.abc import Mapping

from minipipe.protocol.frozen import frozen


@frozen
class Plan:
    """What a zygote imports beforehand.

    Attributes:
        found: installed modules that functors name, or that their modules import.
        wanted: those that the user has named.
        main: what makes its `__main__` the script's.
        sys_path, argv, cwd: as its workers have them.
    """

    found: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    main: Mapping[str, str] | None = None
    sys_path: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    cwd: str | None = None
