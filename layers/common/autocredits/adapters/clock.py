"""The clock of the machine."""

import random
import time


class SystemClock:
    """A Clock that tells the machine's time and really waits."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def sleep_up_to(self, seconds: float) -> None:
        """Wait for a random time of at most `seconds`."""
        time.sleep(random.uniform(0, seconds))  # noqa: S311 - jitter, no secret
