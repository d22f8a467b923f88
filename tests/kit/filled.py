"""Values with every field set, made from the types, so that a new field is never forgotten."""

from spot_operator.domain.sample import filled

__all__ = ["filled"]
