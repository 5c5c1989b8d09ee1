"""The plan file's JSON Schema, made of the models: what editors need to complete and check plan files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator_nb.core.ids import ID_PATTERN, MAX_ID
from orchestrator_nb.core.models import Plan

#: Name of the schema; a new one when an older plan file would no longer be accepted.
SCHEMA_ID = "urn:orchestrator-nb:plan:1"


def plan_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of plan files: accepts exactly what the loader takes for a plan.

    Whether such a plan makes sense (cycles, unknown ids, bad references) is for `core.checks`.
    """
    schema = Plan.model_json_schema()
    task = schema["$defs"]["Task"]
    keys = {name: rule for name, rule in task["properties"].items() if name != "id"}
    schema["$defs"]["TaskBody"] = {
        **{key: value for key, value in task.items() if key != "required"},
        "properties": keys,
        "title": "TaskBody",
        "description": "A task whose id stands before it.",
    }
    as_list = {key: value for key, value in schema["properties"]["tasks"].items() if key in ("type", "items")}
    schema["properties"]["tasks"] = {
        "description": schema["properties"]["tasks"]["description"],
        "title": "Tasks",
        "anyOf": [
            as_list,
            {
                "type": "object",
                "propertyNames": {"type": "string", "pattern": ID_PATTERN, "maxLength": MAX_ID},
                "additionalProperties": {"anyOf": [{"$ref": "#/$defs/TaskBody"}, {"type": "null"}]},
            },
        ],
    }
    for rule in _objects(schema):
        if "patternProperties" in rule:
            rule["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema, "title": "Plan file"}


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a schema."""
    if isinstance(schema, dict):
        yield schema
    for item in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _objects(item)
