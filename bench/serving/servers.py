"""The servers that bench/serving/run puts side by side, each started for one measurement and ended after it."""

import contextlib
import importlib.util
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from models import KINDS

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE_S = 60


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def await_answer(process, url):
    end = time.monotonic() + DEADLINE_S
    while not answers(url):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"no answer from {url}")
        time.sleep(0.05)


@contextlib.contextmanager
def running(command, **options):
    """A process in a session of its own; it and its children end with the block."""
    process = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def ratchet_serve(bin_dir, served, *flags):
    """HOST:PORT of a ratchet-serve of this model alone, which has no control plane and so logs no predictions."""
    log = open(served.folder / "serve.log", "ab")
    command = [bin_dir / "ratchet-serve", "--dir", served.dir, "--blobs", served.blobs, "--listen", "127.0.0.1:0", *flags]
    (served.dir / "address").unlink(missing_ok=True)
    with log, running(command, stderr=log) as process:
        end = time.monotonic() + DEADLINE_S
        while not (served.dir / "address").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        address = (served.dir / "address").read_text().strip()
        await_answer(process, f"http://{address}/v2/models/{served.name}/ready")
        yield address


@contextlib.contextmanager
def constant(bin_dir, answer_file):
    with running([bin_dir / "bench_serving_floor", "constant", answer_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 text=True) as process:
        yield "127.0.0.1:" + process.stdout.readline().strip()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def fastapi_lacks():
    """Packages of the distribution without which the peer cannot run."""
    return [f"python3-{name}" for name in ("fastapi", "uvicorn", "torch") if importlib.util.find_spec(name) is None]


@contextlib.contextmanager
def fastapi(served, form, workers):
    _, datatype, shape = KINDS[served.name]
    port = free_port()
    environment = {**os.environ, "BENCH_MODEL": str(served.model), "BENCH_DATATYPE": datatype, "BENCH_SHAPE": json.dumps(shape),
                   "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "uvicorn", f"fastapi_server:{form}", "--host", "127.0.0.1", "--port", port, "--workers", workers,
               "--log-level", "error", "--no-access-log", "--app-dir", HERE]
    with running(command, env=environment) as process:
        await_answer(process, f"http://127.0.0.1:{port}/docs")
        yield f"127.0.0.1:{port}"
