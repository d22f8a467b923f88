"""How the published descriptions are shortened."""

import pytest
from podtemplate.trim import first_sentence, trim


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two.", "One."),
        ("One (e.g. this one). Two.", "One (e.g. this one)."),
        ("Names such as limits.cpu count. More.", "Names such as limits.cpu count."),
        ("Broken\nover lines. Two.", "Broken over lines."),
        ("A heading\n\nAnd text. More.", "A heading"),
        ("No full stop", "No full stop"),
        ("Defaults to 0.5. Two.", "Defaults to 0.5."),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, kept: str) -> None:
    assert first_sentence(text) == kept


def test_only_what_a_pod_template_refers_to_is_kept() -> None:
    root = "io.k8s.api.core.v1.PodTemplateSpec"
    reference = {"$ref": "#/components/schemas/b"}
    schemas = {
        root: {"properties": {"spec": {"allOf": [reference], "description": "A. B."}}},
        "b": {"items": {"$ref": f"#/components/schemas/{root}"}},
        "c": {"type": "string"},
    }
    trimmed = trim({"components": {"schemas": schemas}}, "v1")
    assert set(trimmed["schemas"]) == {root, "b"}
    assert trimmed["schemas"][root]["properties"]["spec"]["description"] == "A."
    assert "v1" in trimmed["origin"]
