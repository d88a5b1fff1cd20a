"""ratchet-serve as a program: its lock, its port, its files, its signals, and kill -9.

Usage: serve_program_test.py RATCHET_SERVE BARE_PREDICT
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from typing import Tuple

import torch

SERVE, BARE_PREDICT = sys.argv[1:3]
DEADLINE_S = 60


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.linear = torch.nn.Linear(4 * 28 * 28, 3)

    def forward(self, image):
        hidden = torch.relu(self.convolution(image.float() / 255.0))
        return torch.softmax(self.linear(hidden.flatten(1)), 1)


class Hanging(Net):
    def forward(self, image):
        while bool((image == 255).all()):
            image = image.flip([3])
        hidden = torch.relu(self.convolution(image.float() / 255.0))
        return torch.softmax(self.linear(hidden.flatten(1)), 1)


class Reaching(torch.nn.Module):
    """Writes over a file as soon as it is loaded, before anyone can look at what it calls."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self):
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: Tuple[str, bool]):
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(3), self.path)

    def forward(self, image):
        return torch.softmax(image.float().flatten(1)[:, :3], 1)


class Saving(torch.nn.Module):
    def forward(self, image):
        torch.save(image, "/tmp/saved")
        return torch.softmax(image.float().flatten(1)[:, :3], 1)


def put_blob(store, data):
    digest = hashlib.sha256(data).hexdigest()
    folder = store / "sha256" / digest[:2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest).write_bytes(data)
    return digest


class ServeProgram(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.dir, self.blobs = self.folder / "serve", self.folder / "blobs"
        self.dir.mkdir()
        self.processes = []
        self.models, versions = {}, {}
        for version in (1, 2):
            torch.manual_seed(version)
            path = self.folder / f"model{version}.pt"
            torch.jit.script(Net().eval()).save(str(path))
            self.models[version] = path
            versions[version] = {"version": version, "bundle": self.put_bundle(path.read_bytes())}
        self.routes = {"revision": 1, "routes": [{"model": "m", "epoch": 3, "live": versions[1],
                                                  "previous": versions[2], "loading": None}]}
        (self.dir / "routes.json").write_text(json.dumps(self.routes))

    def tearDown(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stderr.close()

    def serve_module(self, module):
        """Makes this module version 1, with nothing before it."""
        path = self.folder / "module.pt"
        torch.jit.script(module.eval()).save(str(path))
        live = {"version": 1, "bundle": self.put_bundle(path.read_bytes())}
        self.routes["routes"][0].update(live=live, previous=None)
        (self.dir / "routes.json").write_text(json.dumps(self.routes))
        return live["bundle"]

    def put_bundle(self, model):
        manifest = {"format": 1, "task": "classification", "recipe": "", "target": "label", "metric": "accuracy",
                    "signature": {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, 28, 28]}],
                                  "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]},
                    "classes": ["a", "b", "c"], "ops": [], "lineage": {}, "training": {},
                    "files": {"model.pt": {"sha256": put_blob(self.blobs, model), "bytes": len(model)}}}
        return put_blob(self.blobs, json.dumps(manifest).encode())

    def start(self, *arguments, listen="127.0.0.1:0"):
        process = subprocess.Popen([SERVE, "--listen", listen, "--dir", self.dir, "--blobs", self.blobs, *arguments],
                                   stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def await_ready(self, process):
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self.assertIsNone(process.poll(), "ended early")
            try:
                if self.get("/v2/health/ready")[0] == 200:
                    return
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(0.02)  # polls a condition with a deadline
        self.fail("not ready in time")

    def get(self, path, body=None):
        address = (self.dir / "address").read_text().strip()
        request = urllib.request.Request(f"http://{address}{path}", data=body)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def infer(self, version=None, rows=2):
        image = torch.arange(rows * 784, dtype=torch.int64).mul(31).remainder(256).reshape(rows, 1, 28, 28)
        body = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [rows, 1, 28, 28],
                            "data": image.flatten().tolist()}]}
        path = "/v2/models/m" + (f"/versions/{version}" if version else "") + "/infer"
        status, answer = self.get(path, json.dumps(body).encode())
        self.assertEqual(status, 200, answer)
        return image, body, answer

    def test_answers_as_python_and_bare_libtorch_do(self):
        self.await_ready(self.start())
        image, body, answer = self.infer(rows=5)
        served = torch.tensor(answer["outputs"][0]["data"]).reshape(5, 3)
        python = torch.jit.load(str(self.models[1])).eval()(image.to(torch.uint8))
        (self.folder / "inputs.json").write_text(json.dumps(body))
        bare = json.loads(subprocess.run([BARE_PREDICT, self.models[1], self.folder / "inputs.json"],
                                         check=True, capture_output=True).stdout)
        bare = torch.tensor(bare["outputs"][0]["data"]).reshape(5, 3)
        self.assertLessEqual((served - python).abs().max().item(), 1e-6)
        self.assertLessEqual((served - bare).abs().max().item(), 1e-6)
        self.assertEqual(answer["outputs"][1]["data"], ["abc"[i] for i in python.argmax(1)])

    def test_comes_back_after_kill_9_without_a_control_plane(self):
        for _ in range(2):
            process = self.start("--control", "http://127.0.0.1:9")
            self.await_ready(process)
            self.assertEqual(self.infer()[2]["model_version"], "1")
            process.send_signal(signal.SIGKILL)
            process.wait()

    def test_ends_with_0_on_sigterm(self):
        process = self.start()
        self.await_ready(process)
        process.terminate()
        self.assertEqual(process.wait(timeout=DEADLINE_S), 0)

    def test_refuses_a_second_one_on_its_folder(self):
        first = self.start()
        self.await_ready(first)
        second = self.start()
        self.assertEqual(second.wait(timeout=DEADLINE_S), 1)
        message = second.stderr.read()
        self.assertIn(str(first.pid), message)
        self.assertIn("One ratchet-serve at a time", message)
        self.assertEqual(self.infer()[2]["model_version"], "1")

    def test_says_that_the_port_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            process = self.start(listen=f"127.0.0.1:{taken.getsockname()[1]}")
            self.assertEqual(process.wait(timeout=DEADLINE_S), 1)
            self.assertIn("another program has this port", process.stderr.read())

    def test_does_not_serve_a_bundle_with_a_wrong_digest(self):
        digest = hashlib.sha256(self.models[1].read_bytes()).hexdigest()
        (self.blobs / "sha256" / digest[:2] / digest).write_bytes(b"rotten")
        process = self.start()
        self.await_ready(process)
        self.assertEqual(self.get("/v2/models/m/ready")[0], 503)
        process.terminate()
        self.assertEqual(process.wait(timeout=DEADLINE_S), 0)
        self.assertIn("SHA-256", process.stderr.read())

    def test_answers_requests_in_batches_as_each_alone(self):
        self.await_ready(self.start())
        python = torch.jit.load(str(self.models[1])).eval()
        images = [torch.randint(0, 256, (1, 1, 28, 28), dtype=torch.uint8) for _ in range(64)]

        def ask(image):
            body = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 28, 28], "data": image.flatten().tolist()}]}
            status, answer = self.get("/v2/models/m/infer", json.dumps(body).encode())
            self.assertEqual(status, 200, answer)
            return answer["outputs"]

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for image, outputs in zip(images, pool.map(ask, images)):
                expected = python(image)
                self.assertLessEqual((torch.tensor(outputs[0]["data"]) - expected).abs().max().item(), 1e-6)
                self.assertEqual(outputs[1]["data"], ["abc"[expected.argmax()]])

    def test_confines_itself_and_stops_a_model_that_writes_while_it_is_loaded(self):
        target = self.folder / "precious"
        module = torch.jit.script(Reaching(str(self.folder / "other")).eval())
        (self.folder / "other").write_bytes(b"")
        module.path = str(target)
        module.save(str(self.folder / "module.pt"))
        torch.jit.load(str(self.folder / "module.pt"))
        self.assertGreater(target.stat().st_size, 0)  # so it is when nothing stops it
        target.write_bytes(b"precious")
        live = {"version": 1, "bundle": self.put_bundle((self.folder / "module.pt").read_bytes())}
        self.routes["routes"][0].update(live=live, previous=None)
        (self.dir / "routes.json").write_text(json.dumps(self.routes))
        process = self.start()
        self.await_ready(process)
        self.assertEqual(self.get("/v2/models/m/ready")[0], 503)
        self.assertEqual(target.read_bytes(), b"precious")
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("NoNewPrivs:\t1", status)

    def test_refuses_a_model_that_calls_what_reaches_files(self):
        self.serve_module(Saving())
        process = self.start()
        self.await_ready(process)
        self.assertEqual(self.get("/v2/models/m/ready")[0], 503)
        process.terminate()
        self.assertIn("aten::save, which a model may not", process.communicate()[1])

    def test_ends_when_a_model_hangs_and_keeps_it_out_after_the_third_time(self):
        bundle = self.serve_module(Hanging())
        body = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 28, 28], "data": [255] * 784}]}
        for _ in range(3):
            process = self.start("--call-limit", "1")
            self.await_ready(process)
            self.assertEqual(self.get("/v2/models/m/ready")[0], 200)
            with self.assertRaises(OSError):
                self.get("/v2/models/m/infer", json.dumps(body).encode())
            self.assertEqual(process.wait(timeout=DEADLINE_S), 70)
        process = self.start("--call-limit", "1")
        self.await_ready(process)
        self.assertEqual(self.get("/v2/models/m/ready")[0], 503)
        self.assertIn("it ran for more than 1 s", (self.dir / "quarantine" / bundle).read_text())
        (self.dir / "quarantine" / bundle).unlink()
        process.terminate()
        self.assertEqual(process.wait(timeout=DEADLINE_S), 0)
        self.assertIn("quarantined: it took ratchet-serve with it 3 times", process.stderr.read())
        self.await_ready(self.start())
        self.assertEqual(self.get("/v2/models/m/ready")[0], 200)

    def test_shares_a_port_where_all_say_so(self):
        self.await_ready(self.start("--share-port"))
        address = (self.dir / "address").read_text().strip()
        other = self.folder / "other"
        other.mkdir()
        (other / "routes.json").write_text(json.dumps(self.routes))
        process = subprocess.Popen([SERVE, "--listen", address, "--dir", other, "--blobs", self.blobs, "--share-port"],
                                   stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        deadline = time.monotonic() + DEADLINE_S
        while not (other / "address").exists() and time.monotonic() < deadline:
            self.assertIsNone(process.poll())
            time.sleep(0.02)  # polls a condition with a deadline
        self.assertEqual((other / "address").read_text().strip(), address)

    def test_says_that_routes_json_is_corrupt(self):
        (self.dir / "routes.json").write_text('{"revision":')
        process = self.start()
        self.assertEqual(process.wait(timeout=DEADLINE_S), 1)
        message = process.stderr.read()
        self.assertIn("routes.json", message)
        self.assertIn("nothing to serve", message)

    def test_explains_itself_and_wrong_arguments(self):
        self.assertIn("EXIT CODES", subprocess.run([SERVE, "--help"], check=True, capture_output=True, text=True).stdout)
        self.assertIn("0.", subprocess.run([SERVE, "--version"], check=True, capture_output=True, text=True).stdout)
        wrong = subprocess.run([SERVE, "--listen", "nowhere"], capture_output=True, text=True)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("HOST:PORT", wrong.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
