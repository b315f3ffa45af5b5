"""Moves everything between stores of any kind: read and written by commands, because file formats of servers differ."""
