"""Counting visits of other sites: their pages report hits, their owners see figures."""
