"""Compiled code: how it is made, where it is kept, and what all of it builds on."""
