"""One per pod: relays notices to the trainer and makes its snapshots durable."""

__version__ = "0.1.0"
