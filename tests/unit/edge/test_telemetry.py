import json

import pytest

from autocredits.edge.telemetry import count


def test_a_count_is_one_metric_of_the_service(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In CloudWatch's embedded format, in the namespace and with the dimension by which the alarms listen."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "autocredits")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "autocredits")
    count("BrokenInvariant")
    (line,) = capsys.readouterr().out.splitlines()
    written = json.loads(line)
    (metrics,) = written["_aws"]["CloudWatchMetrics"]
    assert (metrics["Namespace"], metrics["Dimensions"]) == ("autocredits", [["service"]])
    assert metrics["Metrics"] == [{"Name": "BrokenInvariant", "Unit": "Count"}]
    assert (written["service"], written["BrokenInvariant"]) == ("autocredits", [1.0])
