"""The small values of the standard library: numbers, moments, identifiers, paths."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from minipipe.codec import wire
from minipipe.codec.nodes import NodeReader, NodeWriter, ReadNode, WriteNode
from minipipe.codec.wire import NotNativeError
from minipipe.errors import WireFormatError

_PATHS: tuple[type[PurePath], ...] = (PurePosixPath, PureWindowsPath, PosixPath, WindowsPath)
_SAFETY = (SafeUUID.unknown, SafeUUID.safe, SafeUUID.unsafe)


def _write_complex(writer: NodeWriter, value: complex) -> list[object]:
    return [wire.COMPLEX, value.real, value.imag]


def _read_complex(reader: NodeReader, node: list[Any]) -> object:
    _, real, imag = node
    return complex(real, imag)


def _write_date(writer: NodeWriter, value: date) -> list[object]:
    return [wire.DATE, value.toordinal()]


def _read_date(reader: NodeReader, node: list[Any]) -> object:
    _, ordinal = node
    return date.fromordinal(ordinal)


def _write_time(writer: NodeWriter, value: time) -> list[object]:
    fields = (value.hour, value.minute, value.second, value.microsecond, value.fold)
    return [wire.TIME, *fields, writer.node(value.tzinfo)]


def _read_time(reader: NodeReader, node: list[Any]) -> object:
    _, hour, minute, second, microsecond, fold, zone = node
    tzinfo: Any = reader.node(zone)
    return time(hour, minute, second, microsecond, tzinfo, fold=fold)


def _write_datetime(writer: NodeWriter, value: datetime) -> list[object]:
    day = (value.year, value.month, value.day)
    moment = (value.hour, value.minute, value.second, value.microsecond, value.fold)
    return [wire.DATETIME, *day, *moment, writer.node(value.tzinfo)]


def _read_datetime(reader: NodeReader, node: list[Any]) -> object:
    _, year, month, day, hour, minute, second, microsecond, fold, zone = node
    tzinfo: Any = reader.node(zone)
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo, fold=fold)


def _write_timedelta(writer: NodeWriter, value: timedelta) -> list[object]:
    return [wire.TIMEDELTA, value.days, value.seconds, value.microseconds]


def _read_timedelta(reader: NodeReader, node: list[Any]) -> object:
    _, days, seconds, microseconds = node
    return timedelta(days, seconds, microseconds)


def _write_timezone(writer: NodeWriter, value: timezone) -> list[object]:
    # Whether it was given a name can only be learned from the arguments that it pickles with.
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]
    parts = (offset.days, offset.seconds, offset.microseconds)
    return [wire.TIMEZONE, *parts, *map(writer.leaf, name)]


def _read_timezone(reader: NodeReader, node: list[Any]) -> object:
    _, days, seconds, microseconds, *name = node
    return timezone(timedelta(days, seconds, microseconds), *map(reader.text, name))


def _write_zoneinfo(writer: NodeWriter, value: ZoneInfo) -> list[object]:
    if value.key is None or ZoneInfo(value.key) is not value:
        raise NotNativeError("it is a ZoneInfo that no key leads to")
    return [wire.ZONEINFO, value.key]


def _read_zoneinfo(reader: NodeReader, node: list[Any]) -> object:
    _, key = node
    return ZoneInfo(reader.text(key))


def _write_decimal(writer: NodeWriter, value: Decimal) -> list[object]:
    return [wire.DECIMAL, writer.leaf(str(value))]


def _read_decimal(reader: NodeReader, node: list[Any]) -> object:
    _, text = node
    return Decimal(reader.text(text))


def _write_uuid(writer: NodeWriter, value: UUID) -> list[object]:
    return [wire.UUID_, value.bytes, _SAFETY.index(value.is_safe)]


def _read_uuid(reader: NodeReader, node: list[Any]) -> object:
    _, data, safety = node
    return UUID(bytes=data, is_safe=_SAFETY[safety])


def _write_path(writer: NodeWriter, value: PurePath) -> list[object]:
    return [wire.PATH, _PATHS.index(type(value)), writer.leaf(str(value))]


def _read_path(reader: NodeReader, node: list[Any]) -> object:
    _, index, text = node
    kind = _PATHS[index]
    try:
        return kind(reader.text(text))
    except NotImplementedError as exc:
        raise WireFormatError(f"a {kind.__name__} cannot exist on this system") from exc


WRITERS: dict[type, WriteNode] = {
    complex: _write_complex,
    date: _write_date,
    time: _write_time,
    datetime: _write_datetime,
    timedelta: _write_timedelta,
    timezone: _write_timezone,
    ZoneInfo: _write_zoneinfo,
    Decimal: _write_decimal,
    UUID: _write_uuid,
    **dict.fromkeys(_PATHS, _write_path),
}

READERS: dict[int, ReadNode] = {
    wire.COMPLEX: _read_complex,
    wire.DATE: _read_date,
    wire.TIME: _read_time,
    wire.DATETIME: _read_datetime,
    wire.TIMEDELTA: _read_timedelta,
    wire.TIMEZONE: _read_timezone,
    wire.ZONEINFO: _read_zoneinfo,
    wire.DECIMAL: _read_decimal,
    wire.UUID_: _read_uuid,
    wire.PATH: _read_path,
}
