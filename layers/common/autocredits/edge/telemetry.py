"""What a call tells the operator: one line of log, and a count where an alarm listens."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

logger = Logger()


def count(name: str, number: int = 1) -> None:
    """Add a number to the metric `name`."""
    with single_metric(name=name, unit=MetricUnit.Count, value=number):
        pass
