"""Dockerfile -> plan. Source: the Dockerfile reference (docs.docker.com/reference/dockerfile)."""

from paas.builder.dockerfile.lower import lower
from paas.builder.dockerfile.parser import parse

__all__ = ["lower", "parse"]
