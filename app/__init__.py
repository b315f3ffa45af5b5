"""Tallygate signs people in and counts every visit."""

__version__ = "0.1.0"
