"""Generic machinery of a Kubernetes controller; it knows nothing of training.

Read in this order: `clock` and `errors` (what everything else is built on), `resource` and
`client` (the API server as plain JSON), `http_client`, `credentials`, `retry` and `fence` (its
layers over the network), `store` and `informer` (caches), `workqueue` and `expectations` (when
to look at which key), `lease` (who may write), `endpoints` and `events` (two things to write).
"""
