"""What the operator decided, as Kubernetes manifests. Pure: values in, plain dicts out.

`pod.render_pod` is the one entry; `placement`, `sidecar`, `trainer` and `volumes` make its parts.
"""
