"""Watches base paths and tells the manager which versions are wanted."""
