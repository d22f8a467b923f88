"""Values with every field set, made from the types, so that a new field is never forgotten."""

from spot_operator.domain.state.sample import filled

__all__ = ["filled"]
