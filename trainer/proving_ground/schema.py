"""Documents that both languages read are held to their schemas."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

from proving_ground.errors import Refused

SCHEMAS = Path(__file__).parent / "schemas"


@functools.cache
def validator_of(name: str) -> jsonschema.Draft7Validator:
    """The validator of a document's schema."""
    return jsonschema.Draft7Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text()))


def check_document(name: str, value: Any, where: str) -> Any:
    """Check a document against the schema that both languages read; raises Refused naming the place."""
    error = jsonschema.exceptions.best_match(validator_of(name).iter_errors(value))
    if error is not None:
        raise Refused(f"{where}: not a {name}.json of this version: {error.json_path} {error.message[:300]}")
    return value
