"""A clock for tests: time is moved, not waited for."""

import time


class Clock:
    """Unix seconds that stand still until they are moved; from now on, because Redis has a clock of its own."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds
