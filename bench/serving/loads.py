"""The clients of bench/serving/run: wrk for rates and latencies, bench_infer_load where a request must carry more."""

import json
import shutil
import subprocess

LUA = """
wrk.method = "POST"
local file = io.open("%s")
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\n{"requests_per_s":%%.1f,"p50_ms":%%.3f,"p99_ms":%%.3f,"failed":%%d}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def lacks():
    return [] if shutil.which("wrk") else ["wrk"]


def wrk(address, path, body, connections, seconds):
    """{"requests_per_s", "p50_ms", "p99_ms", "failed"} of so many connections, each with one request under way."""
    script = body.with_suffix(".lua")
    script.write_text(LUA % body)
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script, f"http://{address}{path}"],
                          check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def infer_load(bin_dir, address, path, body, connections, seconds, *flags):
    host, port = address.split(":")
    command = [bin_dir / "bench_infer_load", host, port, path, body, connections, seconds, *flags]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return json.loads(done.stdout)
