"""What all types of the API have in common: frozen, camelCase in JSON, tolerant of newer fields."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A part of the API. Unknown fields are dropped, as the API server drops them.

    So an operator can read the objects of a newer CRD; what a user mistypes is refused by
    the API server's strict field validation, which kubectl asks for.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )
