"""The contract's schemas, as tests hold messages, manifests and log lines against them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SPEC = Path(__file__).parents[1] / "spec"


@cache
def _registry() -> Registry:
    schemas = [json.loads(path.read_text()) for path in (SPEC / "schemas").glob("*.schema.json")]
    return Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in schemas]
    )


def assert_keeps(kind: str, instance: object) -> None:
    """Fail unless ``instance`` is valid against the contract's schema of that kind."""
    schema = json.loads((SPEC / "schemas" / f"{kind}.schema.json").read_text())
    errors = Draft202012Validator(schema, registry=_registry()).iter_errors(instance)
    assert [error.message for error in errors] == [], instance
