"""Writing and reading model bundles: the contract is `docs/bundles.md`.

A bundle is a folder with `manifest.json`, `model.onnx` and the small files that go with them. `write_manifest` takes what only the
trainer knows (family, scores, labels, …) and adds what can be read off the files: sizes, SHA-256 and the graph's inputs and outputs.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

SCHEMA = "mner-bundle/1"
MANIFEST = "manifest.json"
GRAPH = "model.onnx"

KINDS = ("ner", "vision", "bridge")
PRECISIONS = ("int8", "fp16", "fp32")
REQUIRED = ("name", "family", "kind", "version", "precision", "training", "scores", "licence", "credit")


def sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_table(folder: Path) -> dict[str, dict[str, Any]]:
    """`{name: {sha256, bytes}}` of every file of a bundle but its manifest, by name."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(folder).as_posix(): {"sha256": sha256(p), "bytes": p.stat().st_size} for p in files}


def graph_signature(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs of an ONNX graph as `{name: {type, shape}}`; a string in a shape is a dynamic dimension."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    names = {
        onnx.TensorProto.FLOAT: "float32",
        onnx.TensorProto.FLOAT16: "float16",
        onnx.TensorProto.INT64: "int64",
        onnx.TensorProto.UINT8: "uint8",
    }

    def table(values: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for value in values:
            tensor = value.type.tensor_type
            shape = [d.dim_param or int(d.dim_value) for d in tensor.shape.dim]
            out[value.name] = {"type": names[tensor.elem_type], "shape": shape}
        return out

    return table(model.graph.input), table(model.graph.output)


def commit_of(folder: Path) -> str:
    """Commit of the checkout that `folder` stands in, or `unknown`."""
    try:
        return subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_manifest(folder: Path, fields: dict[str, Any]) -> dict[str, Any]:
    """Write `manifest.json` of the bundle in `folder` and return it.

    `fields` holds the common part (see `REQUIRED`) and whatever the kind adds (`heads`, `labels`, `text`, `vision`, …); the schema,
    the file table and the graph's signature are filled in here. Call it last: it hashes every other file.
    """
    missing = [key for key in REQUIRED if key not in fields]
    if missing:
        raise ValueError(f"the manifest lacks {', '.join(missing)}")
    for key, allowed in (("kind", KINDS), ("precision", PRECISIONS)):
        if fields[key] not in allowed:
            raise ValueError(f"{key} is {fields[key]!r}, not one of {', '.join(allowed)}")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", fields["family"]) or (fields["family"] == "vision") != (fields["kind"] == "vision"):
        raise ValueError(f"family is {fields['family']!r}: a lower-case name, and vision for a vision bundle alone")
    if fields["name"] != folder.name:
        raise ValueError(f"the bundle is called {fields['name']!r}, its folder {folder.name!r}")

    inputs, outputs = graph_signature(folder / GRAPH)
    manifest = {"schema": SCHEMA, **fields, "files": file_table(folder), "inputs": inputs, "outputs": outputs}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a bundle's manifest and check its schema and the digest of every file."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("schema") != SCHEMA:
        raise ValueError(f"{folder}: schema {manifest.get('schema')!r}, expected {SCHEMA!r}")
    for name, entry in manifest["files"].items():
        if sha256(folder / name) != entry["sha256"]:
            raise ValueError(f"{folder / name} is not the file that the manifest names")
    return manifest
