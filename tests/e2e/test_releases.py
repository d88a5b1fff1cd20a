"""Versions that are tried on traffic before they are live: canary, shadow, abort, approval; and a daemon that dies meanwhile."""

import json
import sqlite3
import threading

import pytest

from ratchet_process import HttpError, Ratchet, http, wait_until
from small_data import CHURN_SPEC, churn_csv

MODEL = "/api/v1/models/churn"
EASY_GATE = "gate: {rule: not_worse, margin: 0.5}\n"


def spec(seed, release):
    return CHURN_SPEC.replace("seed: 7", f"seed: {seed}") + EASY_GATE + f"release: {release}\n"


class Clients:
    """Asks on and on, each client with a key of its own; notes who answered it and what went wrong."""

    def __init__(self, ratchet, clients=4, with_keys=True):
        self.url = ratchet.serve_url() + "/v2/models/churn/infer"
        self.with_keys = with_keys
        self.answers, self.failures, self.stopping = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.ask_on, args=(number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask_on(self, number):
        asked = 0
        while not self.stopping.is_set():
            key = f"client-{number}-{asked % 25}"
            body = json.dumps({"inputs": [{"name": "months", "datatype": "FP64", "shape": [1], "data": [asked % 60]},
                                          {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["a"]},
                                          {"name": "spend", "datatype": "FP64", "shape": [1], "data": [12.5]}]}).encode()
            try:
                answer = json.loads(http("POST", self.url, body, {"ratchet-sticky-key": key} if self.with_keys else {})[2])
                self.answers.append((key, answer["model_version"]))
            except Exception as error:  # noqa: BLE001: whatever went wrong is a failure
                self.failures.append(repr(error))
            asked += 1
            self.stopping.wait(0.005)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def served(tmp_path):
    """A Ratchet with a live version 1 of churn."""
    ratchet = Ratchet(tmp_path).start()
    ratchet.apply("churn", spec(7, "{strategy: immediate}"))
    ratchet.push_csv("customers", churn_csv(3000), "?key=id&validation=0.1&holdout=0.3")
    assert ratchet.run("churn")["outcome"] == "promoted"
    clients = []
    ratchet.ask_on = lambda **options: clients.append(Clients(ratchet, **options)) or clients[-1]
    yield ratchet
    for one in clients:
        one.stop()
    ratchet.stop()


def newest(ratchet):
    return ratchet.get(MODEL + "/releases")["items"][0]


def begin(ratchet, release):
    ratchet.apply("churn", spec(8, release))
    run = ratchet.start_run("churn")
    wait_until(lambda: newest(ratchet)["to"] == 2 and newest(ratchet)["state"] in ("watching", "waiting"), "the release begins")
    return run


def test_a_canary_goes_on_after_a_kill_and_fails_no_request(served):
    run = begin(served, "{strategy: canary, steps: [30%, 60%, 100%], watch: {error_rate: 50%, for: 3s, min_requests: 50}}")
    route = served.get(MODEL + "/route")
    assert [(arm["role"], arm["version"], arm["share"]) for arm in route["split"]["arms"]] == [("canary", 2, 0.3)]
    clients = served.ask_on()
    wait_until(lambda: (newest(served)["evidence"] or {}).get("requests", 0) > 50, "the canary is counted")
    first = dict(clients.answers)
    assert set(first.values()) == {"1", "2"}
    served.kill()
    served.start()
    after = newest(served)
    assert after["state"] in ("watching", "done") and after["id"] == 2
    assert served.wait_for_run(run)["outcome"] == "promoted"
    wait_until(lambda: {version for _, version in clients.answers[-20:]} == {"2"}, "all traffic is version 2's")
    clients.stop()
    assert clients.failures == []
    done = newest(served)
    assert done["strategy"] == "canary" and done["step"] == 1 and not done["harm"]
    # A client's key met version 2 once, and never version 1 again.
    seen = {}
    for key, version in clients.answers:
        assert seen.setdefault(key, version) == version or version == "2", key
        seen[key] = version
    with sqlite3.connect(f"file:{served.data}/events.db?mode=ro", uri=True) as events:
        count = lambda: dict(events.execute("SELECT role, count(*) FROM predictions GROUP BY role").fetchall())
        wait_until(lambda: count().get("canary", 0) > 50, "the canary's predictions arrive")
        shares = {share for share, in events.execute("SELECT DISTINCT share FROM predictions WHERE role = 'canary'")}
    assert shares <= {0.3, 0.6}


def test_an_abort_gives_all_traffic_back(served):
    run = begin(served, "{strategy: ab, shares: {candidate: 50%}}")
    clients = served.ask_on(with_keys=False)
    wait_until(lambda: {version for _, version in clients.answers[-40:]} == {"1", "2"}, "both versions answer")
    shown = served.cli("release", "list", "churn").stdout
    assert "50 % of the traffic as ab" in shown
    answered = len(clients.answers)
    released = served.cli_json("release", "abort", "churn", "--reason", "enough")
    assert released["state"] == "aborted"
    done = len(clients.answers)
    wait_until(lambda: len(clients.answers) > done + 60, "more is asked")
    # Those that were under way when the abort was answered may still be version 2's.
    assert {version for _, version in clients.answers[done + 8:]} == {"1"} and answered > 0
    assert served.wait_for_run(run)["outcome"] == "cancelled"
    assert clients.failures == [] and served.live("churn") == 1
    with pytest.raises(HttpError) as refused:
        served.send("POST", MODEL + "/release/abort", {})
    assert refused.value.status == 409


def test_a_shadow_is_compared_and_then_waits_for_an_approval(served):
    run = begin(served, "{strategy: shadow, approval: manual, watch: {error_rate: 50%, for: 2s, min_requests: 40}}")
    clients = served.ask_on()
    waiting = wait_until(lambda: newest(served)["state"] == "waiting" and newest(served), "the shadow passes")
    assert {version for _, version in clients.answers} == {"1"}, "nobody sees the shadow"
    shadow = waiting["evidence"]["shadow"]
    assert shadow["compared"] >= 40 and shadow["largest_difference"] >= 0
    served.cli("release", "approve", "churn", "--reason", "looks well")
    assert served.wait_for_run(run)["outcome"] == "promoted"
    assert newest(served)["approved_by"]
    clients.stop()
    assert clients.failures == [] and served.live("churn") == 2
