"""The configuration as the console shows it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from std_daq.config.platform import PlatformConfig

HIDDEN = "..."
"""Stands for a value that is not shown."""

_SECRETS = ("password", "passphrase", "secret", "token", "credential", "api_key")
_ID_CHARS = 16


def shown_config(config: PlatformConfig) -> dict[str, Any]:
    """Return a configuration as JSON has it, as `shown_document` does."""
    return shown_document(config.model_dump(mode="json"))


def shown_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document in which values are hidden whose keys tell of a secret; names of files are none."""
    return {key: HIDDEN if _is_secret(key, inner) else _shown(inner) for key, inner in document.items()}


def config_id(config: PlatformConfig) -> str:
    """Return a name for a configuration, which changes with each of its values."""
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:_ID_CHARS]


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return shown_document(value)
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    return value


def _is_secret(key: object, value: object) -> bool:
    name = str(key).lower()
    is_named = any(word in name for word in _SECRETS) and not name.endswith("_file")
    return is_named and isinstance(value, str) and bool(value)
