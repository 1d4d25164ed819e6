"""The files that make an unpacked bundle a model in MLflow's format, written without MLflow.

The flavor is `python_function`: the bundle's own code is the loader, so that what is predicted is the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from automl.engine.inference.seal import CODE
from automl.engine.levels import is_number

# The first version that knows columns of any type.
MLFLOW = "2.19.0"
EXAMPLE_ROWS = 3


def mlflow_files(
    schema: Mapping[str, Any],
    golden: Mapping[str, Any],
    *,
    requirements: Sequence[str],
    python: str,
    made_at: str,
) -> dict[str, bytes]:
    """Write `MLmodel` and what it names.

    Parameters
    ----------
    schema : mapping
    golden : mapping
        Of its rows some become the input example.
    requirements : sequence of str
        Pinned packages.
    python : str
        The version that trained.
    made_at : str
        The time in ISO 8601.

    Returns
    -------
    dict of name to content
    """
    model = {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "loader_module": f"{CODE}.pyfunc",
                "code": ".",
                "data": ".",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "python_version": python,
            }
        },
        "mlflow_version": MLFLOW,
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "type": "dataframe",
        },
        "signature": {
            "inputs": json.dumps([_column(column) for column in schema["columns"]], ensure_ascii=False),
            "outputs": json.dumps(_outputs(schema), ensure_ascii=False),
            "params": None,
        },
        "utc_time_created": made_at.replace("T", " ").partition("+")[0],
    }
    environment = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": ["mlflow>=" + MLFLOW, *requirements]}],
        "name": "mlflow-env",
    }
    virtual = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    example = {"columns": golden["columns"], "data": _example(schema, golden)}
    return {
        "MLmodel": _yaml(model),
        "conda.yaml": _yaml(environment),
        "python_env.yaml": _yaml(virtual),
        "input_example.json": json.dumps(example, ensure_ascii=False).encode(),
    }


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    """A column of the signature.

    MLflow refuses what is not of the very type, whole numbers among fractions too; the model takes any of
    them, and only words are always text.
    """
    is_words = column["kind"] == "text" or (
        column["kind"] == "categorical" and not any(map(is_number, column["categories"]))
    )
    return {"type": "string" if is_words else "any", "name": column["name"], "required": True}


def _outputs(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    classes = schema.get("classes")
    if not classes:
        return [{"type": "double", "name": "prediction", "required": True}]
    kinds = {bool: "boolean", int: "long", float: "double", str: "string"}
    found = {kinds[type(label)] for label in classes}
    kind = found.pop() if len(found) == 1 else "any"
    return [
        {"type": kind, "name": "prediction", "required": True},
        *({"type": "double", "name": f"probability_{label}", "required": True} for label in classes),
    ]


def _example(schema: Mapping[str, Any], golden: Mapping[str, Any]) -> list[list[Any]]:
    numeric = [column["kind"] == "numeric" for column in schema["columns"]]
    decimal = schema.get("decimal", ".")
    return [
        [
            float(cell.replace(decimal, ".")) if is_number and cell is not None else cell
            for cell, is_number in zip(row, numeric, strict=True)
        ]
        for row in golden["rows"][:EXAMPLE_ROWS]
    ]


def _yaml(value: Any) -> bytes:
    """JSON is YAML: nothing else is needed to write it."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()
