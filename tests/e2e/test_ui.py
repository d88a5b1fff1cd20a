"""The page, served by a real ratchetd and looked at in a real browser."""

import os
import subprocess

from small_data import CHURN_SPEC, churn_csv

UI_TESTS = os.path.join(os.path.dirname(__file__), "../ui/real.mjs")


def test_the_page_shows_a_real_loop(ratchet):
    ratchet.apply("churn", CHURN_SPEC)
    ratchet.push_csv("customers", churn_csv(1500))
    ratchet.run("churn", **{"train.params.epochs": 1})
    ratchet.run("churn")
    assert ratchet.live("churn") == 2
    done = subprocess.run(["node", "--test", UI_TESTS], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "RATCHET_UI_URL": ratchet.url, "RATCHET_UI_MAY_ROLL_BACK": "1"})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
