"""Bakeoff: self-hosted AutoML for tables. Imports nothing, so that automl.engine stays plain."""

__version__ = "0.1.0"
