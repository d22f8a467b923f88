"""Generic machinery of a Kubernetes controller; it knows nothing of training.

Read in this order: `clock` and `errors` (what everything else is built on), `resource` and
`client` (the API server as plain JSON), `http_client` and `credentials` (over the network),
`wrapped_client`, `retry` and `fence` (layers around any client), `store` and `informer` (caches),
`workqueue`, `backoff` and `expectations` (when to look at which key), `lease` (who may write),
`endpoints` and `events` (two things to write).
"""
