"""Reading settings: each function takes a value in any of its forms and answers with the one used inside, or raises a
BadRequestError whose `param` is the path of what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from quoth.call import Timeouts
from quoth.errors import BadRequestError

__all__ = ["environed", "flag", "mapping", "names", "number", "text", "timeouts", "whole", "wrong"]

_INFINITY = float("inf")


def wrong(path: str, what: str) -> BadRequestError:
    return BadRequestError(f"{path}: {what}", param=path)


def text(value: Any, path: str) -> str | None:
    """A text; also an object that stands for one (a secret that shows itself when asked, a URL)."""
    if value is None or isinstance(value, str):
        return value
    secret = getattr(value, "get_secret_value", None)
    if callable(secret):
        return str(secret())
    if type(value).__name__.endswith(("URL", "Url")):
        return str(value)
    raise wrong(path, f"it has to be a text, not {_kind(value)}")


def number(value: Any, path: str, *, least: float = 0.0, above: bool = False) -> float | None:
    """A number, also written as a text. `above`: it has to be more than `least`."""
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        found = float(value)
    except (TypeError, ValueError):
        raise wrong(path, f"it has to be a number, not {_shown(value)}") from None
    if not (least < found if above else least <= found) or found == _INFINITY:
        raise wrong(path, f"it has to be {'more than' if above else 'at least'} {least:g}, not {found:g}")
    return found


def whole(value: Any, path: str, *, least: int = 0) -> int | None:
    found = number(value, path, least=least)
    if found is not None and found != int(found):
        raise wrong(path, f"it has to be a whole number, not {found:g}")
    return None if found is None else int(found)


def flag(value: Any, path: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise wrong(path, f"it has to be true or false, not {_shown(value)}")


def names(value: Any, path: str) -> tuple[str, ...]:
    """A list of texts; one text is a list of one."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise wrong(path, "it has to be a list of texts")
    found = tuple(value)
    if not all(isinstance(item, str) for item in found):
        raise wrong(path, "it has to be a list of texts")
    return found


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise wrong(path, f"it has to be an object, not {_kind(value)}")
    return value


def timeouts(value: Any, path: str) -> Timeouts | None:
    """Seconds for the whole, `quoth.Timeouts`, an object of its fields, or something like httpx.Timeout."""
    if value is None or isinstance(value, Timeouts):
        return value
    if isinstance(value, Mapping):
        unknown = set(value) - {"connect", "first", "idle", "total"}
        if unknown:
            raise wrong(path, f"{min(unknown)!r} is none of connect, first, idle, total")
        return Timeouts(**{name: number(part, f"{path}.{name}", above=True) for name, part in value.items()})
    if hasattr(value, "connect") and hasattr(value, "read"):
        read = number(value.read, path, above=True)
        return Timeouts(connect=number(value.connect, path, above=True), first=read, idle=read)
    return Timeouts(total=number(value, path, above=True))


def environed(value: Any, environment: Mapping[str, str], path: str) -> Any:
    """The same with every `os.environ/NAME` replaced by what the environment has under that name."""
    return _each(value, path, lambda text, where: _looked_up(text, environment, where))


def _each(value: Any, path: str, change: Callable[[str, str], str]) -> Any:
    if isinstance(value, str):
        return change(value, path)
    if isinstance(value, dict):
        return {name: _each(item, f"{path}.{name}", change) for name, item in value.items()}
    if isinstance(value, list):
        return [_each(item, f"{path}[{number}]", change) for number, item in enumerate(value)]
    return value


def _looked_up(value: str, environment: Mapping[str, str], path: str) -> str:
    if not value.startswith("os.environ/"):
        return value
    name = value.removeprefix("os.environ/").strip()
    found = environment.get(name, "").strip()
    if not found:
        raise wrong(path, f"the environment variable {name} is unset or blank")
    return found


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", bool: "true or false"}.get(type(value), f"a {type(value).__name__}")


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | bool) and len(str(value)) <= 40 else _kind(value)
