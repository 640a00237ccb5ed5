"""Builds the image and runs it, without a daemon and a registry: `make container`. Needs root and Debian's buildah."""
