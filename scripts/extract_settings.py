"""Compare `known.toml`, the list of LiteLLM's settings, with an installed (or unpacked) litellm package.

    .venv-bench/bin/python scripts/extract_settings.py            # what is new there, and what is gone
    .venv-bench/bin/python scripts/extract_settings.py --names    # every name that was found, by section

The package is parsed, not imported. Names are facts and are taken from it; the kind and the meaning of each are
Quoth's own judgement, so a name that is new there is printed for somebody to judge, and not added by itself.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

KNOWN = Path(__file__).parent.parent / "src/quoth/gateway/settings/known.toml"
# Names in the package that no settings file is meant to hold: caches, clients, registries, constants.
NOT_SETTINGS = re.compile(
    r"(_models?|_endpoints?|_list|_providers|_key|_token|_headers|_regions|_cost|_map|_cache|_callbacks?|_callback_names"
    r"|_client(_async)?|_session|_config|_logger|_router|_configs|_class|_dict)$"
)


def package() -> Path:
    spec = find_spec("litellm")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    for folder in sys.argv[1:]:
        if (Path(folder) / "litellm").is_dir():
            return Path(folder) / "litellm"
    sys.exit("litellm is not installed here, and no folder that holds it was named: see `make .venv-bench/.bench`")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def class_fields(path: Path, *names: str) -> set[str]:
    """Annotated fields of classes, those of their bases in the same file included."""
    classes = {node.name: node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        node = classes.get(waiting.pop())
        if node is None:
            continue
        found |= {
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign)
            and isinstance(item.target, ast.Name)
            and not item.target.id.startswith("_")
        }
        waiting += [base.id for base in node.bases if isinstance(base, ast.Name)]
    return {name for name in found if not name.startswith("_")} - {"model_config"}


def arguments(path: Path, kind: str) -> set[str]:
    """The arguments of a class's __init__."""
    return {
        argument.arg
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and node.name == kind
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == "__init__"
        for argument in [*item.args.args, *item.args.kwonlyargs]
    } - {"self"}


def asked_for(root: Path, variable: str) -> set[str]:
    """The names in `variable.get("name")` and `variable["name"]`, anywhere in a package."""
    found: set[str] = set()
    pattern = re.compile(rf"\b{variable}(?:\s+or\s+{{}}\))?\s*(?:\.get\(\s*|\[)\s*[\"'](\w+)[\"']")
    for path in root.rglob("*.py"):
        found |= set(pattern.findall(path.read_text("utf-8")))
    return found


def module_settings(path: Path) -> set[str]:
    """What `litellm_settings` may set: the package's module-level variables, those that look like settings."""
    found = set()
    for node in parsed(path).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            if name.islower() and not name.startswith("_") and not NOT_SETTINGS.search(name):
                found.add(name)
    return found


def literal(path: Path, name: str) -> set[str]:
    """The texts of a `Literal[...]` or a list that is assigned to a name."""
    for node in parsed(path).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and target.id == name:
            return set(texts(node.value)) if node.value is not None else set()
    return set()


def texts(node: ast.AST) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value


def enum_values(path: Path, name: str) -> set[str]:
    return {
        item.value.value
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and node.name == name
        for item in node.body
        if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
    }


def extracted(root: Path) -> dict[str, set[str]]:
    proxy, types = root / "proxy", root / "types"
    router = next(path for path in (root / "router.py", root / "router_python_core.py") if path.is_file())
    return {
        "top level": asked_for(proxy, "config") & TOP_LEVEL,
        "general_settings": class_fields(proxy / "_types.py", "ConfigGeneralSettings")
        | asked_for(proxy, "general_settings"),
        "litellm_settings": module_settings(root / "__init__.py") | asked_for(proxy, "litellm_settings"),
        "router_settings": arguments(router, "Router"),
        "litellm_params": class_fields(types / "router.py", *PARAMS),
        "model_info": class_fields(types / "router.py", "ModelInfo"),
        "cache_params": arguments(root / "caching/caching.py", "Cache"),
        "callbacks": literal(root / "__init__.py", "_custom_logger_compatible_callbacks_literal"),
        "providers": enum_values(types / "utils.py", "LlmProviders"),
    }


PARAMS = ("GenericLiteLLMParams", "LiteLLM_Params", "CustomPricingLiteLLMParams", "CredentialLiteLLMParams")
# `config.get` is also said of many other things; of its names these are top-level keys.
TOP_LEVEL = frozenset(
    "model_list litellm_settings general_settings router_settings environment_variables include callback_settings "
    "guardrails mcp_servers mcp_tools mcp_aliases vector_store_registry search_tools credential_list "
    "sandbox_tools default_vertex_config "
    "finetune_settings files_settings assistant_settings prompts policies policy_attachments worker_registry agents "
    "agent_list".split()
)


def main() -> None:
    found = extracted(package())
    if "--names" in sys.argv:
        for section, names in found.items():
            print(f"[{section}]", *sorted(names), sep="\n")
        return
    data = tomllib.loads(KNOWN.read_text("utf-8"))
    for section, names in found.items():
        known = set(data[section]["names"] if section == "providers" else data[section])
        print(f"{section}: {len(known)} known, {len(names)} found there")
        for name in sorted(names - known):
            print(f"  new: {name}")


if __name__ == "__main__":
    main()
