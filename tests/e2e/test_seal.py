"""The holdout stays sealed: a trainer cannot open it, nor anything else of the data directory but its inputs."""

import json
import os

from ratchet_process import http
from small_data import churn_csv

# Tries every file of the data directory by every way there is, and reports what opened in its progress.
SPY = r'''
import glob, json, os, sqlite3, sys
data = sys.argv[1]
own = os.getcwd()
inputs = {os.environ["RATCHET_TRAIN"], os.environ["RATCHET_VALIDATION"]}
opened, tried = [], 0
targets = [line for line in open("targets.txt").read().split("\n") if line]
for target in targets:
    ways = [target, os.path.relpath(target), "/proc/self/root" + target, f"/proc/{os.getppid()}/root" + target, f"/proc/1/root" + target]
    link = os.path.join(own, "link%d" % tried)
    try:
        os.symlink(target, link); ways.append(link)
    except OSError:
        pass
    try:
        os.link(target, link + "h"); ways.append(link + "h")
    except OSError:
        pass
    for way in ways:
        tried += 1
        try:
            open(way, "rb").read(1)
            opened.append(way)
        except OSError:
            pass
for folder in (data, data + "/blobs", data + "/blobs/sha256", data + "/runs"):
    try:
        os.listdir(folder)
        opened.append("list " + folder)
    except OSError:
        pass
try:
    open(data + "/planted", "w").close()
    opened.append("wrote " + data + "/planted")
except OSError:
    pass
rows = sqlite3.connect(f"file:{os.environ['RATCHET_TRAIN']}?mode=ro&immutable=1", uri=True).execute("SELECT count(*) FROM rows").fetchone()[0]
print("SPY " + json.dumps({"tried": tried, "opened": opened, "train_rows": rows, "uid": os.getuid()}))
sys.exit(1)
'''

SPEC = """
model: spy
data: {dataset: customers, target: left, split: {validation: 0.1, holdout: 0.3, key: id}}
train:
  command: [python3, spy.py, %s]
  limits: {time: 60s, attempts: 1}
"""


def files_of(data):
    found = []
    for folder, _, names in os.walk(data):
        found += [os.path.join(folder, name) for name in names]
    return found


def test_a_trainer_opens_nothing_but_its_inputs(ratchet):
    import base64
    ratchet.push_csv("customers", churn_csv(500), "?key=id&holdout=0.3&validation=0.1")
    version = ratchet.get("/api/v1/datasets/customers/versions/1")
    manifest = json.loads(open(f"{ratchet.data}/blobs/sha256/{version['manifest'][:2]}/{version['manifest']}").read())
    readable = {segment["sha256"] for segment in manifest["segments"] if segment["split"] != "holdout"}
    holdout = [segment["sha256"] for segment in manifest["segments"] if segment["split"] == "holdout"]
    targets = [path for path in files_of(ratchet.data) if os.path.basename(path) not in readable]
    assert any(path.endswith(holdout[0]) for path in targets)
    body = {"spec": SPEC % ratchet.data,
            "files": {"spy.py": base64.b64encode(SPY.encode()).decode(),
                      "targets.txt": base64.b64encode("\n".join(targets).encode()).decode()}}
    ratchet.send("PUT", "/api/v1/pipelines/spy", body)
    run = ratchet.run("spy")
    log = http("GET", f"{ratchet.url}/api/v1/runs/{run['id']}/logs?step=train")[2].decode()
    line = next((line for line in log.splitlines() if line.startswith("SPY ")), None)
    assert line, log
    told = json.loads(line[4:])
    assert told["tried"] >= 4 * len(targets)
    assert told["opened"] == []
    assert told["train_rows"] == version["rows"]["train"]


def test_the_api_shows_no_holdout_row(ratchet):
    ratchet.push_csv("customers", churn_csv(300), "?key=id&holdout=0.3&validation=0.1")
    version = ratchet.get("/api/v1/datasets/customers/versions/1")
    shown, after = 0, ""
    while True:
        page = ratchet.get(f"/api/v1/datasets/customers/versions/1/rows?limit=100{after}")
        shown += len(page["items"])
        if not page["next"]:
            break
        after = f"&after={page['next']}"
    assert shown == version["rows"]["train"]
    for segment_of in ("holdout", "validation"):
        manifest = json.loads(open(f"{ratchet.data}/blobs/sha256/{version['manifest'][:2]}/{version['manifest']}").read())
        sha256 = next(s["sha256"] for s in manifest["segments"] if s["split"] == segment_of)
        try:
            http("GET", f"{ratchet.url}/api/v1/blobs/{sha256}")
            raise AssertionError("a pack was handed out")
        except Exception as error:
            assert getattr(error, "status", None) == 404, error
