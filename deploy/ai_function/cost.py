"""What calls cost: `python -m ai_function.cost --help`. Prices are inputs: they are the provider's, and change."""

import argparse
from dataclasses import dataclass

_MILLION = 1_000_000
_MONTH_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Prices:
    """In one currency."""

    gigabyte_second: float
    million_calls: float
    # For a gigabyte kept warm for a second, used or not.
    warm_gigabyte_second: float = 0.0


@dataclass(frozen=True)
class Load:
    """A month of calls."""

    calls: float
    memory_mb: int
    milliseconds: float
    # Of these calls, the share that starts a container, and how long that takes.
    cold_share: float = 0.0
    cold_milliseconds: float = 0.0
    warm_units: int = 0

    @property
    def gigabyte_seconds(self) -> float:
        """Memory that is granted, for as long as calls last; a container that waits costs nothing."""
        mean = self.milliseconds + self.cold_share * self.cold_milliseconds
        return self.calls * mean / 1000 * self.memory_mb / 1024

    def busy_containers(self, seconds: float = _MONTH_SECONDS) -> float:
        """How many containers work at once on average, with calls spread over so many seconds."""
        return self.calls * self.milliseconds / 1000 / seconds


def cost(load: Load, prices: Prices) -> float:
    """Return what a month costs."""
    warm = load.warm_units * load.memory_mb / 1024 * _MONTH_SECONDS * prices.warm_gigabyte_second
    return load.gigabyte_seconds * prices.gigabyte_second + load.calls / _MILLION * prices.million_calls + warm


def main() -> None:
    """Print the cost of a load."""
    parser = argparse.ArgumentParser(prog="python -m ai_function.cost", description=__doc__)
    parser.add_argument("--calls", type=float, default=_MILLION, help="in a month")
    parser.add_argument("--memory", type=int, required=True, help="MB, of func.yaml")
    parser.add_argument("--ms", type=float, required=True, help="of a call, as the log's line for it says")
    parser.add_argument("--cold-share", type=float, default=0.0, help="calls that start a container, 0 to 1")
    parser.add_argument("--cold-ms", type=float, default=0.0, help="what such a call takes longer")
    parser.add_argument("--warm-units", type=int, default=0, help="provisioned concurrency")
    parser.add_argument("--gb-second", type=float, required=True, help="price of a gigabyte for a second")
    parser.add_argument("--million", type=float, required=True, help="price of a million calls")
    parser.add_argument("--warm-gb-second", type=float, default=0.0, help="price of a gigabyte kept warm for a second")
    given = parser.parse_args()
    load = Load(given.calls, given.memory, given.ms, given.cold_share, given.cold_ms, given.warm_units)
    total = cost(load, Prices(given.gb_second, given.million, given.warm_gb_second))
    used, busy = load.gigabyte_seconds, load.busy_containers()
    print(f"{used:,.0f} GB-seconds, {busy:.2f} containers busy on average: {total:.2f} a month")  # noqa: T201


if __name__ == "__main__":
    main()
