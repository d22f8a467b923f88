"""A small cluster in fake time: nodes that die, pods that train, replicas that crash.

The operator in it is the real one, on a `FakeApiServer`; everything else is here: `store` (the
object store), `trainer` (what runs in a pod), `node` (kubelet and power), `scheduler`, `replicas`
(the operator's Deployment), `world` (all of it together).
"""
