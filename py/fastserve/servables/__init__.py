"""Loads one version of a model into the native runtime."""
