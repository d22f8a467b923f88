"""Keeps of a published OpenAPI v3 document what a pod template needs, small enough to commit.

Run against the newest supported Kubernetes, once per version:

    kubectl get --raw /openapi/v3/api/v1 | python hack/podtemplate/trim.py v1.37.1 \
        > hack/podtemplate/kubernetes-v1.37.1.json

The models of the `kubernetes` Python package would be nearer, but leave out list types, map keys
and defaults.
"""

import json
import re
import sys
from typing import Any, Final

Json = dict[str, Any]

ROOT: Final = "io.k8s.api.core.v1.PodTemplateSpec"
PREFIX: Final = "#/components/schemas/"

# A full stop ends a sentence unless it stands after one of these, or before a small letter.
_SENTENCE = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!etc)(?<!vs)\.(?=\s+[^a-z\s]|\s*$)", re.DOTALL)


def first_sentence(text: str) -> str:
    """The first sentence of a description, on one line."""
    paragraph = " ".join(text.split("\n\n", 1)[0].split())
    end = _SENTENCE.search(paragraph)
    return paragraph[: end.end()] if end else paragraph


def trim(document: Json, version: str) -> Json:
    """The schemas a pod template refers to, with first sentences, and where they come from."""
    published = document["components"]["schemas"]
    kept: Json = {}
    pending = [ROOT]
    while pending:
        name = pending.pop()
        if name not in kept:
            kept[name] = _shortened(published[name])
            pending += _references(published[name])
    return {
        "origin": f"kube-apiserver {version}, /openapi/v3/api/v1, by hack/podtemplate/trim.py",
        "schemas": dict(sorted(kept.items())),
    }


def _references(node: object) -> list[str]:
    if isinstance(node, list):
        return [name for child in node for name in _references(child)]
    if not isinstance(node, dict):
        return []
    here = [node["$ref"].removeprefix(PREFIX)] if "$ref" in node else []
    return here + [name for child in node.values() for name in _references(child)]


def _shortened(node: Any) -> Any:
    if isinstance(node, list):
        return [_shortened(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key: first_sentence(value)
        if key == "description" and isinstance(value, str)
        else _shortened(value)
        for key, value in node.items()
    }


if __name__ == "__main__":
    json.dump(trim(json.load(sys.stdin), sys.argv[1]), sys.stdout, indent=1)
    sys.stdout.write("\n")
