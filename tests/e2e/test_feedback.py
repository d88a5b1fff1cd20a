"""From an answered prediction to a retrain: the log, its spool, outcomes, the live metric, and what each program survives."""

import json
import os
import random
import re
import signal
import sqlite3
import threading

import pytest

from ratchet_process import HttpError, Ratchet, alive, http, wait_until
from small_data import CHURN_SPEC, churn_csv

MODEL = "/api/v1/models/churn"


def tensors(rows):
    return [{"name": "months", "datatype": "FP64", "shape": [len(rows)], "data": [row[0] for row in rows]},
            {"name": "plan", "datatype": "BYTES", "shape": [len(rows)], "data": [row[1] for row in rows]},
            {"name": "spend", "datatype": "FP64", "shape": [len(rows)], "data": [row[2] for row in rows]}]


def customers(count, seed=5):
    chance = random.Random(seed)
    return [[chance.randint(1, 60), chance.choice("abc"), round(chance.uniform(5, 90), 2)] for _ in range(count)]


def ask(ratchet, rows, **more):
    body = json.dumps({"inputs": tensors(rows), **more}).encode()
    return json.loads(http("POST", ratchet.serve_url() + "/v2/models/churn/infer", body)[2])


def labels_of(answer):
    return next(output["data"] for output in answer["outputs"] if output["name"] == "label")


def other(label):
    return "no" if label == "yes" else "yes"


def live(ratchet, version):
    report = ratchet.get(MODEL + "/live-metric")
    return next((one for one in report["versions"] if one["version"] == version), None)


def wait_for_rows(ratchet, count, version=1):
    return wait_until(lambda: (live(ratchet, version) or {}).get("rows") == count and live(ratchet, version),
                      f"{count} predictions arrive")


def send(ratchet, outcomes):
    lines = "\n".join(json.dumps(outcome) for outcome in outcomes)
    return json.loads(ratchet.cli("-o", "json", "feedback", "churn", "-", stdin=lines).stdout)


def counter(ratchet, name):
    text = http("GET", ratchet.serve_url() + "/metrics")[2].decode()
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE)[1])


def first_version(ratchet, spec=CHURN_SPEC):
    ratchet.apply("churn", spec)
    ratchet.push_csv("customers", churn_csv(1500))
    run = ratchet.run("churn", **{"train.params.epochs": 1})
    assert run["outcome"] == "promoted", run
    wait_until(lambda: answers(ratchet), "version 1 answers")


def answers(ratchet):
    try:
        return http("GET", ratchet.serve_url() + "/v2/models/churn/ready")[0] == 200
    except (OSError, HttpError):
        return False


def test_a_live_metric_that_falls_starts_one_retrain_by_itself(ratchet):
    first_version(ratchet, CHURN_SPEC + "retrain: {live_metric_below: 0.6}\n")
    rows = customers(150)
    answer = ask(ratchet, rows)
    truth = labels_of(answer)
    wait_for_rows(ratchet, 150)

    # Three wrong answers start nothing, nor do 99 rows: too few to say.
    few = [{"prediction": answer["id"], "row": row, "outcome": other(truth[row])} for row in range(99)]
    assert send(ratchet, few) == {"taken": 99, "repeated": 0, "replaced": 0, "joined": 99, "waiting": 0}
    assert live(ratchet, 1)["value"] == 0
    assert [run["id"] for run in ratchet.get("/api/v1/runs?pipeline=churn")["items"]] == [1]

    rest = [{"prediction": answer["id"], "row": row, "outcome": truth[row]} for row in range(99, 150)]
    assert send(ratchet, rest)["joined"] == 51
    run = ratchet.wait_for_run(wait_until(
        lambda: next((run["id"] for run in ratchet.get("/api/v1/runs?pipeline=churn")["items"] if run["id"] > 1), 0),
        "a run starts by itself"))
    assert run["reason"]["kind"] == "live_metric_below"
    assert re.search(r"accuracy of version 1 is 0\.\d+ over its latest 1\d\d rows .*window: 500", run["reason"]["detail"])
    # It has been answered: what is known of version 1 starts no second one.
    again = send(ratchet, [{"prediction": answer["id"], "row": 99, "outcome": other(truth[99])}])
    assert (again["replaced"], again["joined"]) == (1, 0)
    shown = ratchet.cli("model", "show", "churn").stdout
    assert "Live metric" in shown and "150" in shown
    assert [run["id"] for run in ratchet.get("/api/v1/runs?pipeline=churn")["items"]] == [2, 1]


def test_outcomes_come_by_id_and_key_late_twice_and_too_early(ratchet):
    first_version(ratchet)
    early = send(ratchet, [{"key": "order-1", "outcome": "yes"}])
    assert (early["taken"], early["waiting"]) == (1, 1)
    first = ask(ratchet, customers(1), parameters={"key": "order-1"})
    second = ask(ratchet, customers(1), id="mine")
    assert second["id"] == "mine" and re.fullmatch("[0-9a-f]{32}", second["parameters"]["prediction_id"])
    assert re.fullmatch("[0-9a-f]{32}", first["id"]) and "parameters" not in first
    assert wait_for_rows(ratchet, 2)["joined"] == 1

    by_own_id = send(ratchet, [{"key": "mine", "outcome": "no"}])
    assert by_own_id["joined"] == 1
    by_prediction = {"prediction": second["parameters"]["prediction_id"], "outcome": labels_of(second)[0]}
    assert send(ratchet, [by_prediction])["joined"] == 0, "the row has an outcome; this one is only more certain"
    assert send(ratchet, [by_prediction]) == {"taken": 0, "repeated": 1, "replaced": 0, "joined": 0, "waiting": 0}
    right = live(ratchet, 1)["value"] - (0.5 if labels_of(first)[0] == "yes" else 0)
    assert right == 0.5

    csv = "key,outcome\norder-1,no\n"
    assert "1 replaced" in ratchet.cli("feedback", "churn", "-", stdin=csv).stdout
    assert live(ratchet, 1)["value"] == 0.5 + (0.5 if labels_of(first)[0] == "no" else 0)
    assert live(ratchet, 1)["joined"] == 2


def test_bad_feedback_is_refused_whole_with_its_lines(ratchet):
    first_version(ratchet)
    lines = '{"key": "a", "outcome": 1}\n{"key": "b"}\nnonsense\n{"prediction": "x", "key": "y", "outcome": 1}\n'
    refused = ratchet.cli("feedback", "churn", "-", stdin=lines, check=False)
    assert refused.returncode == 1 and "line 2" in refused.stderr and "3 entries" in refused.stderr
    with pytest.raises(HttpError) as caught:
        ratchet.send("POST", MODEL + "/feedback", lines.encode(), "application/x-ndjson")
    problem = caught.value.problem()
    assert caught.value.status == 422 and [fault["line"] for fault in problem["errors"]] == [2, 3, 4]
    assert send(ratchet, [{"key": "a", "outcome": 1}])["taken"] == 1, "nothing of the refused was taken"
    with pytest.raises(HttpError) as caught:
        ratchet.send("POST", "/api/v1/models/none/feedback", [{"key": "a", "outcome": 1}])
    assert caught.value.status == 404


def test_no_spooled_prediction_is_lost_when_either_program_is_killed(ratchet):
    first_version(ratchet)
    url, pid = ratchet.serve_url(), ratchet.serve_pid()
    ids = [ask(ratchet, customers(1, seed=n))["id"] for n in range(50)]
    ratchet.kill()
    body = json.dumps({"inputs": tensors(customers(1))}).encode()
    for _ in range(200):
        ids.append(json.loads(http("POST", url + "/v2/models/churn/infer", body)[2])["id"])

    def logged():
        text = http("GET", url + "/metrics")[2].decode()
        return "ratchet_serve_predictions_logged_total 250\n" in text
    wait_until(logged, "all answers are in the spool")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "ratchet-serve is gone")
    segments = os.path.join(ratchet.data, "serve/spool")
    last = sorted(name for name in os.listdir(segments) if name.endswith(".spool"))[-1]
    with open(os.path.join(segments, last), "ab") as file:
        file.write(b"\xff\x00\x00\x00half a record")  # as a crash in the middle of a write leaves it

    ratchet.start()
    wait_until(lambda: ratchet.serve_pid() not in (0, pid), "another ratchet-serve")
    assert wait_for_rows(ratchet, 250)["predictions"] == 250
    ratchet.kill()
    with sqlite3.connect(os.path.join(ratchet.data, "events.db")) as database:
        kept = [row[0] for row in database.execute("SELECT id FROM predictions ORDER BY at, number")]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sorted(kept) == sorted(ids) and len(set(kept)) == 250
    ratchet.start()
    wait_until(lambda: answers(ratchet), "it serves again")
    ask(ratchet, customers(1))
    wait_for_rows(ratchet, 251)


def test_kills_of_the_daemon_under_load_lose_and_double_nothing(ratchet):
    first_version(ratchet)
    url = ratchet.serve_url()
    body = json.dumps({"inputs": tensors(customers(1))}).encode()
    ids, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            ids.append(json.loads(http("POST", url + "/v2/models/churn/infer", body)[2])["id"])
    client = threading.Thread(target=load)
    client.start()
    try:
        for _ in range(3):
            taken = (live(ratchet, 1) or {"rows": 0})["rows"]
            wait_until(lambda: (live(ratchet, 1) or {"rows": 0})["rows"] > taken, "predictions arrive")
            ratchet.kill()
            answered = len(ids)
            wait_until(lambda: len(ids) > answered + 50, "answers go on without the daemon")
            ratchet.start()
    finally:
        stop.set()
        client.join()
    wait_for_rows(ratchet, len(ids))
    ratchet.kill()
    with sqlite3.connect(os.path.join(ratchet.data, "events.db")) as database:
        kept = [row[0] for row in database.execute("SELECT id FROM predictions")]
    assert sorted(kept) == sorted(ids)
    ratchet.start()


def test_a_full_spool_costs_log_and_no_answer(tmp_path):
    ratchet = Ratchet(tmp_path, "--spool-bytes", "1MiB", "--log-redact", "plan,spend").start()
    try:
        first_version(ratchet)
        url = ratchet.serve_url()
        ratchet.kill()
        body = json.dumps({"inputs": tensors(customers(2000))}).encode()
        for _ in range(25):
            assert http("POST", url + "/v2/models/churn/infer", body)[0] == 200
        metrics = lambda: http("GET", url + "/metrics")[2].decode()
        dropped = wait_until(lambda: re.search(r'dropped_total\{where="spool"\} ([1-9]\d*)', metrics()), "some are dropped")
        ratchet.start()
        wait_until(lambda: ratchet.get(MODEL + "/live-metric")["dropped"] >= 1, "the count is shown")
        assert f'where="spool"}} ' in dropped[0] and 'ratchet_predictions_dropped ' in http("GET", ratchet.url + "/metrics")[2].decode()
        ratchet.kill()
        with sqlite3.connect(os.path.join(ratchet.data, "events.db")) as database:
            inputs = json.loads(database.execute("SELECT inputs FROM predictions LIMIT 1").fetchone()[0])
        assert {tensor["name"]: "data" in tensor for tensor in inputs} == {"months": True, "plan": False, "spend": False}
        ratchet.start()
    finally:
        ratchet.stop()
