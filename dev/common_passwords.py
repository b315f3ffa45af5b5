"""Adds Django's list of common passwords, those of eight characters and more, to the file of
app/accounts/passwords/policy.py.

uv pip install --target /tmp/django --no-deps django
python -m dev.common_passwords /tmp/django/django/contrib/auth/common-passwords.txt.gz
"""

import gzip
import sys
import textwrap
from pathlib import Path

from app.accounts.passwords.policy import COMMON_FILE, MIN_LENGTH, SUFFIXES, folded, words_of

HEADER = """\
# Passwords that are refused, folded. A word stands for itself and for itself with digits and signs behind it.
# Of eight characters and more: Django's list (django/contrib/auth/common-passwords.txt.gz, made by Royce Williams from
# "Pwned Passwords"; Copyright (c) Django Software Foundation and individual contributors, BSD-3-Clause: see
# common_passwords.license.txt), by dev/common_passwords.py. Shorter ones and further Chinese ones: our own.
"""


def merged(own: frozenset[str], found: list[str]) -> list[str]:
    """`found` without what is too short to be a password or covered by `own`."""
    wanted = {folded(word) for word in found if len(word) >= MIN_LENGTH}
    return sorted(own | {word for word in wanted if word.rstrip(SUFFIXES) not in own})


def main(source: str) -> None:
    found = gzip.decompress(Path(source).read_bytes()).decode().split()
    lines = textwrap.wrap(" ".join(merged(words_of(COMMON_FILE), found)), 120, break_on_hyphens=False)
    COMMON_FILE.write_text(HEADER + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
