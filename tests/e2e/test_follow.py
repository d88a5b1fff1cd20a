"""A replica on another machine, as far as one machine can play it: a ratchet-serve that shares nothing with the daemon but HTTP."""

import json
import os
import re
import signal
import sqlite3
import subprocess

import pytest

from ratchet_process import BIN, HttpError, Ratchet, http, wait_until
from small_data import CHURN_SPEC, churn_csv
from test_feedback import customers, first_version, live, tensors, wait_for_rows


class Follower:
    """`start` again after `kill` continues in the same folder."""

    def __init__(self, folder, url, *flags):
        self.folder = os.path.join(str(folder), "edge")
        self.command = [os.path.join(os.path.abspath(BIN), "ratchet-serve"), "--follow", url, "--cache", self.folder,
                        "--listen", "127.0.0.1:0", "--id", "edge-1", *flags]
        self.process = None
        self.url = None

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        address = os.path.join(self.folder, "address")
        if os.path.exists(address):
            os.remove(address)
        with open(self.folder + ".log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: os.path.exists(address), "the follower listens")
        with open(address) as file:
            self.url = "http://" + file.read().strip()
        return self

    def ready(self, model):
        try:
            return http("GET", f"{self.url}/v2/models/{model}/ready")[0] == 200
        except (OSError, HttpError):
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=60)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill()


@pytest.fixture
def follower(ratchet, tmp_path):
    first_version(ratchet)
    edge = Follower(tmp_path, ratchet.url, "--models", "churn").start()
    wait_until(lambda: edge.ready("churn"), "the follower answers")
    yield edge
    edge.stop()


def answer(url, rows, case):
    """The bytes of an answer; of the id that each has for itself nothing is left."""
    body = json.dumps({"id": case, "inputs": tensors(rows)}).encode()
    text = http("POST", url + "/v2/models/churn/infer", body)[2]
    told, count = re.subn(rb"[0-9a-f]{32}", b"*", text)
    assert count == 1, text
    return told


def test_it_answers_bit_for_bit_as_the_daemons_own_and_without_the_daemon(ratchet, follower):
    cases = [(customers(n + 1, seed=n), f"case-{n}") for n in range(20)] + [(customers(500, seed=77), "many")]
    local = [answer(ratchet.serve_url(), *case) for case in cases]
    assert [answer(follower.url, *case) for case in cases] == local
    shown = ratchet.cli("status").stdout
    assert re.search(r"edge-1\s+churn\s+\d+\s+1\s", shown), shown
    wait_for_rows(ratchet, 2 * sum(len(rows) for rows, _ in cases))

    ratchet.kill()
    follower.kill()
    follower.start()
    wait_until(lambda: follower.ready("churn"), "it answers again, from its cache")
    assert [answer(follower.url, *case) for case in cases] == local
    rows = 2 * sum(len(rows) for rows, _ in cases)

    ratchet.start()
    wait_for_rows(ratchet, rows + rows // 2)
    ratchet.kill()
    with sqlite3.connect(os.path.join(ratchet.data, "events.db")) as database:
        by_replica = dict(database.execute("SELECT replica = 'edge-1', count(*) FROM predictions GROUP BY 1").fetchall())
        assert database.execute("SELECT count(*), count(DISTINCT id) FROM predictions").fetchone() == (63, 63)
    assert by_replica == {0: 21, 1: 42}
    ratchet.start()


def test_it_follows_the_models_it_was_told_and_nobody_waits_for_it_with_others(ratchet, follower):
    ratchet.apply("other", CHURN_SPEC.replace("model: churn", "model: other"))
    assert ratchet.run("other", **{"train.params.epochs": 1})["outcome"] == "promoted"
    with pytest.raises(HttpError) as caught:
        http("GET", follower.url + "/v2/models/other")
    assert caught.value.status == 404
    edge = next(one for one in ratchet.get("/api/v1/status")["serve"]["replicas"] if one["id"] == "edge-1")
    assert edge["only"] == ["churn"] and list(edge["models"]) == ["churn"]
    # What it does follow waits for it: a rollback is done when the follower serves it, too.
    ratchet.run("churn", **{"train.seed": 8})
    ratchet.cli("promote", "churn@2", "--force", "--reason", "to have two", check=False)
    assert ratchet.live("churn") == 2
    ratchet.cli("rollback", "churn", "--reason", "back")
    assert json.loads(http("POST", follower.url + "/v2/models/churn/infer",
                           json.dumps({"inputs": tensors(customers(1))}).encode())[2])["model_version"] == "1"


def test_a_models_own_settings_say_what_is_logged(ratchet, follower):
    ratchet.apply("churn", CHURN_SPEC + "predictions: {sample: 1, redact: [plan]}\n")

    def redacted(url):
        http("POST", url + "/v2/models/churn/infer", json.dumps({"inputs": tensors(customers(1))}).encode())
        with sqlite3.connect(f"file:{ratchet.data}/events.db?mode=ro", uri=True) as database:
            newest = [json.loads(row[0]) for row in database.execute("SELECT inputs FROM predictions ORDER BY number DESC LIMIT 1")]
        return newest and {tensor["name"] for tensor in newest[0] if "data" not in tensor} == {"plan"}
    for url in (ratchet.serve_url(), follower.url):
        wait_until(lambda: redacted(url), "the column is left out")
    ratchet.apply("churn", CHURN_SPEC + "predictions: {sample: 0}\n")

    def quiet():
        before = live(ratchet, 1)["rows"]
        for url in (ratchet.serve_url(), follower.url):
            http("POST", url + "/v2/models/churn/infer", json.dumps({"inputs": tensors(customers(1))}).encode())
        logged = [int(re.search(r"logged_total (\d+)", http("GET", url + "/metrics")[2].decode())[1])
                  for url in (ratchet.serve_url(), follower.url)]
        return live(ratchet, 1)["rows"] == before == sum(logged)
    wait_until(quiet, "nothing is logged any more")
    with pytest.raises(HttpError) as caught:
        ratchet.apply("churn", CHURN_SPEC + "predictions: {redact: [plann]}\n")
    assert "did you mean 'plan'" in caught.value.body


def test_feedback_becomes_rows_once_and_starts_a_retrain(ratchet):
    first_version(ratchet)
    ratchet.apply("churn", CHURN_SPEC + "feedback: {dataset: same, every: 60}\nretrain: {new_rows: 60}\n")
    url = ratchet.serve_url()
    rows = customers(70)
    for number, row in enumerate(rows):
        body = {"inputs": tensors([row]), "parameters": {"key": f"order-{number}"}}
        http("POST", url + "/v2/models/churn/infer", json.dumps(body).encode())
    wait_for_rows(ratchet, 70)
    outcomes = "\n".join(json.dumps({"key": f"order-{number}", "outcome": "yes"}) for number in range(70))
    ratchet.cli("feedback", "churn", "-", stdin=outcomes)
    run = wait_until(lambda: next((run for run in ratchet.get("/api/v1/runs?pipeline=churn")["items"] if run["id"] > 1), None),
                     "a run starts by itself")
    assert run["reason"]["kind"] == "new_rows" and run["dataset_version"] == 2
    rows_told = lambda: ratchet.get("/api/v1/models/churn/live-metric")["rows"]
    told = wait_until(lambda: rows_told()["pushed"] and rows_told(), "the push is noted")
    assert (told["pushed"], told["waiting"], told["version"], told["dataset"]) == (70, 0, 2, "customers"), told
    assert ratchet.get("/api/v1/datasets/customers/versions/2")["rows_added"]["train"] > 0
    ratchet.kill()
    ratchet.start()
    ratchet.cli("feedback", "churn", "-", stdin=outcomes)
    shown = ratchet.cli("model", "show", "churn", "--slice", "plan", "--over", "1d")
    assert "70 of these rows have been pushed to customers" in shown.stdout + shown.stderr, shown
    assert "By plan" in shown.stdout and "Over time" in shown.stdout
    assert ratchet.get("/api/v1/datasets/customers")["latest_version"] == 2
