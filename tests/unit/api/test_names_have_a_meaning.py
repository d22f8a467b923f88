"""Every name that others see stands once, with a sentence that says what it means."""

import ast
import inspect
from collections.abc import Iterator

from spot_operator.api import names


def _documented(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    """Each assigned name and the text that stands right below it."""
    for statement, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        target = _target(statement)
        if target:
            yield f"{prefix}{target}", _text(following)
        if isinstance(statement, ast.ClassDef):
            yield from _documented(statement.body, f"{statement.name}.")


def _target(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None


def _text(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""


def test_every_name_has_its_sentence() -> None:
    documented = dict(_documented(ast.parse(inspect.getsource(names)).body, ""))
    assert len(documented) > 100
    assert {name for name, text in documented.items() if not text.endswith(".")} == set()


def test_labels_and_annotations_are_ours_and_differ() -> None:
    keys = [getattr(names, one) for one in dir(names) if one.startswith(("LABEL_", "ANNOTATION_"))]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith(f"{names.GROUP}/") for key in keys)


def test_what_we_put_into_a_pod_is_reserved() -> None:
    made = [getattr(names, one) for one in dir(names) if one.startswith("VOLUME_")]
    assert all(one.startswith(names.RESERVED_PREFIX) for one in [*made, names.SIDECAR_CONTAINER])
    paths = [getattr(names, one) for one in dir(names) if one.startswith("PATH_")]
    ours = [path for path in paths if path != names.PATH_DRAIN]
    assert all(path.startswith(f"{names.RESERVED_MOUNT}/") for path in ours)
    trainer = (names.ENV_SOCKET, names.ENV_ATTEMPT, names.ENV_RANK, names.ENV_JOB)
    assert all(one.startswith(names.RESERVED_ENV_PREFIX) for one in trainer)
