"""Which class plays which kind of node."""

from __future__ import annotations

from .faults import Node
from .pools import NodeSpec
from .process_node import ProcessNode
from .site import Site
from .uml_node import UmlNode


def node_of(site: Site, spec: NodeSpec) -> Node:
    """The node of this spec, as something that faults can happen to."""
    return UmlNode(site, spec) if spec.own_kernel else ProcessNode(site, spec)
