"""Days and times as they are typed: all of them are UTC."""

import datetime as dt
from typing import Any

import click

from autocredits.domain.errors import Problem
from autocredits.domain.times import parse_time


class Day(click.ParamType[str]):
    """A UTC day, such as 2026-11-01."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The day as it is, if it is one."""
        try:
            return dt.datetime.strptime(str(value), "%Y-%m-%d").replace(tzinfo=dt.UTC).date().isoformat()
        except ValueError:
            self.fail(f"{value!r} is no day, such as 2026-11-01", param, ctx)


class Time(click.ParamType[str]):
    """A time in UTC, or a day, which is its beginning."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The time as the service takes it."""
        text = str(value)
        if "T" not in text:
            return f"{Day().convert(value, param, ctx)}T00:00:00Z"
        try:
            parse_time(text)
        except Problem:
            self.fail(f"{value!r} is no time, such as 2026-11-01T08:00:00Z or 2026-11-01", param, ctx)
        return text


DAY, TIME = Day(), Time()


def day_after(day: str) -> str:
    """The next day."""
    return (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()


def days_ago(days: int) -> str:
    """The UTC day so many days before today."""
    return (dt.datetime.now(dt.UTC).date() - dt.timedelta(days=days)).isoformat()


def start_of(day: str | None) -> str | None:
    """The time at which a day begins."""
    return None if day is None else f"{day}T00:00:00Z"
