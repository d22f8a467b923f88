"""Reconciles SpotTrainingJobs onto spot capacity."""

__version__ = "0.1.0"
