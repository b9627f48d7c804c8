"""From the names in the settings to hooks: files are found, loaded, and looked at."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from quoth.gateway.hooks.interface import Hook
from quoth.gateway.hooks.running import Hooks
from quoth.gateway.settings import Settings

__all__ = ["HooksNotLoaded", "load_hooks"]


class HooksNotLoaded(Exception):
    """A hook of the settings cannot be used; the message says which and why."""


def load_hooks(settings: Settings, directory: str | Path | None = None) -> Hooks:
    """The hooks of the settings, loaded into this process. `directory`: where files are looked for first, that of the
    settings without one. Raises HooksNotLoaded."""
    if not settings.hooks:
        return Hooks()
    if directory is None:
        directory = Path(settings.source_files[0]).parent if settings.source_files else Path()
    modules: dict[str, ModuleType] = {}
    found: list[tuple[str, Hook]] = []
    warnings: list[str] = []
    for name in settings.hooks:
        module_name, _, instance_name = name.rpartition(".")
        if module_name not in modules:
            modules[module_name] = _module(name, module_name, Path(directory))
        found.append((name, _hook(name, instance_name, modules[module_name], settings, warnings)))
    return Hooks(found, settings.quoth.hook_timeout, warnings)


def _module(name: str, module_name: str, directory: Path) -> ModuleType:
    from quoth.gateway.hooks.standin import stand_ins

    path = directory.joinpath(*module_name.split(".")).absolute()
    file = next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
    try:
        with stand_ins():
            return import_module(module_name) if file is None else _loaded(module_name, file, directory)
    except (Exception, SystemExit) as error:
        where = file or f"module {module_name}"
        raise HooksNotLoaded(f"hook {name}: {where} cannot be loaded: {type(error).__name__}: {error}") from error


def _loaded(module_name: str, file: Path, directory: Path) -> ModuleType:
    """A file as a module of its own, anew each time: a reload of the settings reads it again."""
    spec = spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    before = sys.modules.get(module_name)
    sys.modules[module_name] = module  # where dataclasses and the like look for the names in annotations
    sys.path.insert(0, str(directory.absolute()))  # so that a hook may import what lies beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(directory.absolute()))
        if before is not None:
            sys.modules[module_name] = before
        else:
            del sys.modules[module_name]
    return module


def _hook(name: str, instance_name: str, module: ModuleType, settings: Settings, warnings: list[str]) -> Hook:
    try:
        instance: Any = getattr(module, instance_name)
    except AttributeError:
        raise HooksNotLoaded(f"hook {name}: {module.__name__} has no {instance_name}") from None
    if isinstance(instance, type):
        raise HooksNotLoaded(f"hook {name} is a class; name an instance of it: instance = {instance_name}()")
    if isinstance(instance, Hook):
        return instance
    from quoth.gateway.hooks.litellm import CustomLoggerHook, is_custom_logger

    if not is_custom_logger(instance):
        kind = type(instance).__name__
        raise HooksNotLoaded(
            f"hook {name} is of type {kind}; it has to be a quoth.gateway.hooks.Hook or a CustomLogger"
        )
    hook = CustomLoggerHook(instance)
    guards, others = hook.not_called()
    missing = [guard for guard in guards if guard not in settings.quoth.accept_unenforced]
    if missing:
        raise HooksNotLoaded(
            f"hook {name}: {', '.join(missing)} would guard calls in LiteLLM and is not called here; "
            f"use async_pre_call_hook, async_post_call_success_hook or async_post_call_streaming_iterator_hook, "
            f"or say `quoth: {{accept_unenforced: [{', '.join(missing)}]}}`"
        )
    if others or guards:
        names = [*guards, *others]
        warnings.append(f"hook {name}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} not called here")
    return hook
