"""Compiled code: the decorators that compile functions, the cache of machine code, and shared building blocks."""
