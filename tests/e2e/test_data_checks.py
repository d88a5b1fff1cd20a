"""What is expected of the data stops a run before it trains, and rows that have moved start one."""

from ratchet_process import wait_until
from small_data import CHURN_SPEC, churn_csv


def with_months(csv, change):
    """The same rows with `months` changed."""
    head, *rows = csv.splitlines()
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[1] = str(change(int(row[1])))
    return "\n".join([head, *(",".join(row) for row in cells)]) + "\n"


def expecting(checks):
    return CHURN_SPEC.replace("train:\n", f"  expect: {checks}\ntrain:\n", 1)


def stopped_before_training(run):
    """The checks of a run that validation ended."""
    assert run["state"] == "failed", run
    assert run["error"]["class"] == "user", run
    steps = {step["name"]: step for step in run["steps"]}
    assert steps["validate"]["state"] == "failed", run
    assert len(steps["validate"]["attempts"]) == 1, run  # the data are no better a second time
    assert steps["train"]["attempts"] == [] and steps["train"]["started_at"] is None, run
    return steps["validate"]["checks"]


def test_rows_that_fail_stop_the_run_and_are_shown(ratchet):
    ratchet.apply("churn", expecting("[{column: plan, in: [a, b, c]}, {column: months, min: 0}, {rows: {min: 100}}]"))
    bad = with_months(churn_csv(40, start=300), lambda months: -months)
    ratchet.push_csv("customers", churn_csv(300) + bad.split("\n", 1)[1])
    run = ratchet.run("churn")
    failing, *passing = stopped_before_training(run)
    assert "months" in run["error"]["message"], run["error"]
    assert failing["expect"]["column"] == "months" and not failing["passed"]
    assert 0 < failing["failing_rows"] <= 40  # those in the holdout stay sealed
    assert failing["examples"]
    for example in failing["examples"]:
        assert example["values"]["months"] < 0 and example["row"] > 0, example
    assert [check["passed"] for check in passing] == [True, True]
    shown = ratchet.cli("run", "show", run["id"]).stdout
    example = failing["examples"][0]
    assert f"row {example['row']}: " in shown and f"months {example['values']['months']}" in shown, shown


def test_rows_unlike_the_live_versions_stop_the_run(ratchet):
    ratchet.apply("churn", expecting("[{like: live, columns: [months, plan]}]"))
    ratchet.push_csv("customers", churn_csv(600))
    first = ratchet.run("churn")
    assert first["outcome"] == "promoted", first
    ratchet.push_csv("customers", with_months(churn_csv(2000, start=600), lambda months: months + 100))
    run = ratchet.run("churn")
    [check] = stopped_before_training(run)
    assert check["expect"]["like"] == "live" and not check["passed"]
    assert "like live" in run["error"]["message"], run["error"]
    assert ratchet.live("churn") == first["candidate"]


def test_rows_that_have_moved_start_a_run(ratchet):
    ratchet.apply("churn", CHURN_SPEC + "retrain: {drift: 0.25}\n")
    ratchet.push_csv("customers", churn_csv(600))
    assert ratchet.get("/api/v1/pipelines/churn")["drift"] is None
    first = ratchet.run("churn")
    assert first["outcome"] == "promoted", first
    ratchet.push_csv("customers", churn_csv(600, start=600))

    def drift():
        return ratchet.get("/api/v1/pipelines/churn")["drift"]
    same = wait_until(drift, "the new rows are compared")
    assert same["dataset_version"] == 2 and same["live"] == first["candidate"]
    assert same["worst"] < 0.25, same

    ratchet.push_csv("customers", with_months(churn_csv(1200, start=1200), lambda months: months + 100))
    second = wait_until(lambda: [run for run in ratchet.get("/api/v1/runs?pipeline=churn")["items"] if run["id"] != first["id"]],
                        "a run starts by itself")
    assert len(second) == 1
    assert second[0]["reason"]["kind"] == "drift", second
    assert "'months'" in second[0]["reason"]["detail"], second
    moved = drift()
    assert moved["worst_column"] == moved["columns"][0]["column"] == "months", moved
    assert moved["worst"] > 0.25
    ratchet.wait_for_run(second[0]["id"])
