"""Settings: a frozen struct per service, read once from `QJET_*` environment variables."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]

_PREFIX = "QJET_"

Settings = TypeVar("Settings", bound=Struct)


class CommonSettings(Struct, frozen=True, kw_only=True):
    """What every service is told.

    `nats_url` may list several servers, separated by commas. `listen_fd` is a listening socket
    that the parent process opened; it goes before host and port.
    """

    nats_url: str = "nats://127.0.0.1:4222"
    log_level: LogLevel = "INFO"
    host: str = "127.0.0.1"
    listen_fd: int | None = None
    drain_s: Seconds = 20.0


class SettingsError(Exception):
    """An environment variable does not fit; the text names it and says what would."""


def read_settings(kind: type[Settings], environ: Mapping[str, str]) -> Settings:
    """Fill `kind` from the environment: field `nats_url` is read from `QJET_NATS_URL`.

    A field that is a struct itself groups settings that several services have.

    Raises:
        SettingsError: a value cannot be read as its field's type.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            values[field.name] = read_settings(field.type, environ)
            continue
        name = _PREFIX + field.name.upper()
        if name not in environ:
            continue
        try:
            values[field.name] = msgspec.convert(environ[name], field.type, strict=False)
        except msgspec.ValidationError as exc:
            choices = get_args(field.type) if get_origin(field.type) is Literal else ()
            one_of = f"; one of {', '.join(choices)}" if choices else ""
            raise SettingsError(f"{name}={environ[name]!r}: {exc}{one_of}") from exc
    return kind(**values)
