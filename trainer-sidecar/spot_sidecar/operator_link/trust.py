"""Whom the sidecar believes to be the operator: the certificate bundle of the pod's annotation.

The bundle is the only trust: the system's authorities are never asked. It changes while the pod
runs, so that the operator's authority can be renewed.
"""

import ssl

__all__ = ["BundleError", "trust_only"]


class BundleError(ValueError):
    """The annotation holds no usable certificates."""


def trust_only(bundle: str) -> ssl.SSLContext:
    """A client context that accepts the bundle's authorities alone, TLS 1.2 or newer.

    Raises:
        BundleError: there is no certificate in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError) as error:
        raise BundleError(f"the operator's certificate bundle cannot be read: {error}") from None
    return context
