"""The decision report as one HTML file: made by a real ratchetd, kept by the CLI, opened in a real browser when all is stopped."""

import json
import os
import re
import subprocess

from ratchet_process import http
from small_data import CHURN_SPEC, churn_csv
from test_metrics import SALES_SPEC, sales_csv

UI_TESTS = os.path.join(os.path.dirname(__file__), "../ui/real_report.mjs")


def data_of(page):
    """What a report's file holds."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def look_at(*reports):
    done = subprocess.run(["node", "--test", UI_TESTS], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "RATCHET_REPORTS": "\n".join(reports)})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_a_decision_is_kept_as_a_page_that_needs_no_server(ratchet, tmp_path):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(1500))
    ratchet.run("churn", **{"train.params.epochs": 1})
    ratchet.run("churn")
    ratchet.apply("sales", SALES_SPEC)
    ratchet.push_csv("days", sales_csv(1500))
    ratchet.run("sales")

    files = []
    for name in ("churn@1", "churn@2", "sales@1"):
        files.append(str(tmp_path / f"{name}.html"))
        told = ratchet.cli("model", "explain", name, "--html", files[-1])
        assert "the same, bit for bit" in told.stdout and f"decision report of {name}" in told.stderr, told

    data = data_of((tmp_path / "churn@2.html").read_text())
    assert data["decision"] == ratchet.get("/api/v1/models/churn/versions/2/decision")
    assert data["decision"]["lower_bound"] > 0 and data["opponent"]["version"] == 1
    assert [(look["epoch"], look["look"], look["version"]) for look in data["looks"]] == [(1, 1, 1), (1, 2, 2)]
    assert data_of((tmp_path / "churn@1.html").read_text())["looks"] == data["looks"][:1]
    assert data["version"]["manifest"]["lineage"]["seed"] == data["decision"]["basis"]["seed"]

    address = re.search(r"^Report +(http\S+)$", ratchet.cli("model", "show", "churn@2").stdout, re.MULTILINE)[1]
    status, headers, body = http("GET", address)
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert "script-src 'sha256-" in headers["Content-Security-Policy"]
    assert body.decode() == (tmp_path / "churn@2.html").read_text()
    look_at(address)

    ratchet.stop()
    look_at(*(f"file://{file}" for file in files))
