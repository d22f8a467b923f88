"""What the sidecars tell the operator: format, authentication, the newest of each pod.

A lost report never decides anything: the last word also stands in the pod's termination message,
everything else in the object store.
"""
