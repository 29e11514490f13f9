"""Sizes and times as people read them. The pages' formatter is held to the same tables (test/browser)."""

from __future__ import annotations

import pytest

from app.protocol.amounts import clock, rate, size, span

SIZES: dict[float, str] = {
    0: "0 B",
    1: "1 B",
    512: "512 B",
    999: "999 B",
    999.6: "1.0 kB",
    1000: "1.0 kB",
    1024: "1.0 kB",
    1050: "1.1 kB",
    9949: "9.9 kB",
    9950: "10 kB",
    99_499: "99 kB",
    999_499: "999 kB",
    999_500: "1.0 MB",
    1_000_000: "1.0 MB",
    2_621_440: "2.6 MB",
    10_485_760: "10 MB",
    80_000_000_000: "80 GB",
    5 * 1024**3: "5.4 GB",
    2_500_000_000_000: "2.5 TB",
    7_000_000_000_000_000: "7000 TB",
}
CLOCKS: dict[float, str] = {
    0: "00:00",
    0.9: "00:00",
    12.4: "00:12",
    59.99: "00:59",
    60: "01:00",
    3599: "59:59",
    3600: "1:00:00",
    3723: "1:02:03",
    360_000: "100:00:00",
}
SPANS: dict[float, str] = {
    0: "0 s",
    0.4: "0 s",
    0.5: "1 s",
    3.2: "3 s",
    89.4: "89 s",
    90: "2 min",
    119: "2 min",
    150: "3 min",
    89 * 60: "89 min",
    90 * 60: "1 h 30 min",
    7200: "2 h",
    65 * 60 + 3600: "2 h 5 min",
    47 * 3600: "47 h",
    48 * 3600: "2 d",
    51 * 3600 + 60: "2 d 3 h",
}


@pytest.mark.parametrize(("count", "text"), SIZES.items())
def test_sizes_are_decimal(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), CLOCKS.items())
def test_a_clock_has_hours_only_when_it_needs_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), SPANS.items())
def test_a_span_has_two_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_rate_that_is_unknown_or_nothing_is_not_told() -> None:
    assert [rate(None), rate(0), rate(1_258_291)] == ["", "", "1.3 MB/s"]
