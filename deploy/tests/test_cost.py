"""The sums of docs/src/operations.md."""

import pytest

from ai_function.cost import Load, Prices, cost

PRICES = Prices(gigabyte_second=0.00001417, million_calls=0.20, warm_gigabyte_second=0.000003)


def test_memory_for_as_long_as_calls_last() -> None:
    load = Load(calls=1_000_000, memory_mb=256, milliseconds=40)
    assert load.gigabyte_seconds == pytest.approx(10_000)
    assert cost(load, PRICES) == pytest.approx(0.1417 + 0.20)


def test_cold_starts_and_warm_units_are_paid_for() -> None:
    cold = Load(calls=1_000_000, memory_mb=1024, milliseconds=100, cold_share=0.01, cold_milliseconds=1000)
    assert cold.gigabyte_seconds == pytest.approx(110_000)
    warm = Load(calls=0, memory_mb=512, milliseconds=0, warm_units=2)
    assert cost(warm, PRICES) == pytest.approx(2_592_000 * 0.000003)


def test_busy_containers() -> None:
    assert Load(calls=36_000, memory_mb=256, milliseconds=200).busy_containers(3600) == pytest.approx(2)
