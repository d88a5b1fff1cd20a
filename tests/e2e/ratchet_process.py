"""A Ratchet of real processes in a folder of its own, and the shortest ways to talk to it."""

import base64
import errno
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from http.client import HTTPException

BUILD = os.environ.get("RATCHET_BUILD", os.path.join(os.path.dirname(__file__), "../../build/release"))
BIN = os.path.join(BUILD, "bin")
DEADLINE_S = 120


class HttpError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:500]}")
        self.status = status
        self.body = body

    def problem(self):
        return json.loads(self.body)


def http(method, url, body=None, headers=None, timeout=60):
    """(status, headers, bytes); raises HttpError for 4xx and 5xx."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        raise HttpError(error.code, error.read().decode("utf-8", "replace")) from None
    except HTTPException as error:  # cut short: the server went away in the middle
        raise ConnectionError(str(error)) from None


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Polls until the condition gives something true, and returns that."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def steps_of(run):
    """A run's steps by their names."""
    return {step["name"]: step for step in run["steps"]}


def name_of(pid):
    """The name of a process, empty when it is gone."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def descendants(pid):
    """Every process below this one, whatever session it has gone to."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(child) for child in file.read().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]


def events_of(url, last_id=None, timeout=60):
    """Reads an SSE stream: (name, id or None, data, when it was whole by this machine's clock), until the stream ends.
    Closing the generator closes the connection."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
        fields = {}
        for line in answer:
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key:
                fields[key] = value
            elif "data" in fields:
                yield fields["event"], fields.get("id"), json.loads(fields["data"]), time.time()
                fields = {}


class SmallDisk:
    """A file system of its own for a data directory. It lies in a mount namespace of its own, which needs no root where the
    kernel lets users make namespaces, and is gone when its keeper is. `inside` is its path for programs that are started by
    `prefix`; `outside` is the same folder for everyone else."""

    def __init__(self, folder, mebibytes):
        self.inside = str(folder)
        os.makedirs(self.inside)
        script = f'mount -t tmpfs -o size={mebibytes}m tmpfs "$0" && echo mounted && exec cat'
        self.keeper = subprocess.Popen(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, self.inside],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.mounted = self.keeper.stdout.readline() == "mounted\n"
        self.why_not = "" if self.mounted else self.keeper.stderr.read().strip()
        self.outside = f"/proc/{self.keeper.pid}/root{self.inside}"
        self.prefix = ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", str(self.keeper.pid)]

    def make_read_only(self):
        subprocess.run([*self.prefix, "mount", "-o", "remount,bind,ro", self.inside], check=True)

    def fill(self):
        """Takes every block that is left; gives the file that holds them."""
        path = os.path.join(self.outside, "filler")
        with open(path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65536)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        return path

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait(timeout=60)


def cpu_seconds(pid):
    """What the process has used so far, in its own code and in the kernel's."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_kib(pid):
    """The most memory that was resident at a time."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


class Ratchet:
    """`start` again after `kill` continues on the same folder."""

    def __init__(self, folder, *flags, disk=None):
        self.folder = str(folder)
        self.data = os.path.join(disk.outside if disk else self.folder, "data")
        self.command = [*(disk.prefix if disk else []), os.path.join(os.path.abspath(BIN), "ratchetd"),
                        "--data", os.path.join(disk.inside, "data") if disk else self.data, *flags]
        self.process = None
        self.url = None
        self.listen = "127.0.0.1:0"  # a restart takes the port it had, as a user's would

    def start(self):
        os.makedirs(self.data, exist_ok=True)
        address = os.path.join(self.data, "address")
        if os.path.exists(address):
            os.remove(address)
        with open(os.path.join(self.folder, "ratchetd.log"), "ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "--listen", self.listen, "--serve-listen", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: os.path.exists(address) or self.process.poll() is not None, "ratchetd listens")
        if self.process.poll() is not None:
            raise AssertionError("ratchetd did not start:\n" + self.read_log())
        with open(address) as file:
            self.listen = file.read().strip()
        self.url = "http://" + self.listen
        wait_until(self.answers, "ratchetd answers")
        return self

    def answers(self):
        try:
            return http("GET", self.url + "/healthz", timeout=5)[0] == 200
        except (OSError, HttpError):
            return False

    def read_log(self):
        with open(os.path.join(self.folder, "ratchetd.log"), errors="replace") as file:
            return file.read()

    def kill(self, which=signal.SIGKILL):
        self.process.send_signal(which)
        self.process.wait(timeout=60)

    def stop(self):
        """Ends the daemon with its steps, and the data plane in case the daemon was killed before it could."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        pid = self.serve_pid()
        if pid:
            os.kill(pid, signal.SIGKILL)

    def serve_pid(self):
        try:
            with open(os.path.join(self.data, "serve/lock")) as file:
                pid = int(file.read() or 0)
        except (OSError, ValueError):
            return 0
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                return pid if "ratchet-serve" in file.read() and alive(pid) else 0
        except OSError:
            return 0

    # ---- HTTP and CLI

    def get(self, path):
        return json.loads(http("GET", self.url + path)[2])

    def send(self, method, path, body=None, content_type="application/json", headers=None):
        data = json.dumps(body).encode() if content_type == "application/json" and body is not None else body
        answer = http(method, self.url + path, data or b"", {"Content-Type": content_type, **(headers or {})}, timeout=300)
        return json.loads(answer[2] or b"null")

    def cli(self, *arguments, check=True, stdin=None):
        done = subprocess.run([os.path.join(BIN, "ratchet"), "--server", self.url, *map(str, arguments)], input=stdin,
                              capture_output=True, text=True, timeout=300)
        if check and done.returncode != 0:
            raise AssertionError(f"ratchet {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.read_log()[-3000:]}")
        return done

    def cli_json(self, *arguments):
        return json.loads(self.cli("-o", "json", *arguments).stdout)

    # ---- the loop

    def apply(self, name, spec, files=None):
        """`files` (name → bytes) travel along, as those beside a spec do that its commands name."""
        if files is None:
            return self.send("PUT", f"/api/v1/pipelines/{name}", spec.encode(), "application/yaml")
        encoded = {file: base64.b64encode(content).decode() for file, content in files.items()}
        return self.send("PUT", f"/api/v1/pipelines/{name}", {"spec": spec, "files": encoded})

    def push_csv(self, dataset, text, query=""):
        return self.send("POST", f"/api/v1/datasets/{dataset}/versions{query}", text.encode(), "text/csv")

    def start_run(self, pipeline, **overrides):
        return self.send("POST", f"/api/v1/pipelines/{pipeline}/runs", {"set": overrides})["id"]

    def wait_for_run(self, run, deadline_s=DEADLINE_S):
        def ended():
            record = self.get(f"/api/v1/runs/{run}")
            return record if record["state"] in ("succeeded", "failed", "cancelled") else None
        try:
            return wait_until(ended, f"run {run} ends", deadline_s)
        except AssertionError:
            raise AssertionError(json.dumps(self.get(f"/api/v1/runs/{run}"), indent=1) + self.read_log()[-4000:]) from None

    def run(self, pipeline, **overrides):
        return self.wait_for_run(self.start_run(pipeline, **overrides))

    def wait_for_step(self, run, name, state="running"):
        """The step of the run, once it has come to this state."""
        def reached():
            step = steps_of(self.get(f"/api/v1/runs/{run}"))[name]
            return step if step["state"] == state else None
        return wait_until(reached, f"step {name} of run {run} is {state}")

    def live(self, model):
        return self.get(f"/api/v1/models/{model}")["live"]

    def serve_url(self):
        return wait_until(lambda: self.get("/api/v1/status")["serve"]["url"], "the data plane has an address")

    def infer(self, model, inputs, version=None):
        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        body = json.dumps({"inputs": inputs}).encode()
        return json.loads(http("POST", self.serve_url() + path, body, {"Content-Type": "application/json"})[2])
