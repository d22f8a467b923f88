"""What several parts of the status are made of."""

from typing import Annotated

from pydantic import Field, StringConstraints, WithJsonSchema

Word = Annotated[str, StringConstraints(max_length=64)]
"""A CamelCase word of a closed vocabulary of ours or of Kubernetes'."""
Count = Annotated[
    int, Field(ge=0), WithJsonSchema({"type": "integer", "format": "int64", "minimum": 0})
]
Seconds = Annotated[float, Field(ge=0)]
