"""Runs in the console: start, preview, follow, kill, history and their pictures."""
