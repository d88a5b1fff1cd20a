#!/usr/bin/env bash
# The loop on real product photos: dev, test, retrain, release, rollback. Needs a running ratchetd, `ratchet` in the PATH
# and Debian's package dataset-fashion-mnist. Work files go to the folder given.
set -euo pipefail
work="${1:?usage: demonstration.sh FOLDER}"
here="$(cd "$(dirname "$0")" && pwd)"
mkdir -p "$work"
say() { printf '\n-- %s\n' "$1"; }
expect_live() {
  ratchet -o json model show parcel-sorter | python3 -c '
import json, sys
live = json.load(sys.stdin)["live"]
sys.exit(0 if live == int(sys.argv[1]) else f"version {live} is live, not {sys.argv[1]}")' "$1"
}

say "Photos of Fashion-MNIST, in two deliveries"
python3 "$here/fashion_mnist.py" --rows 0:10000 --out "$work/parcels-1.pack"
python3 "$here/fashion_mnist.py" --rows 10000:60000 --out "$work/parcels-2.pack"
python3 "$here/fashion_mnist.py" --test --png 0 --out "$work/photo.png"

say "A pipeline, and the first 10,000 photos"
ratchet pipeline apply "$here/parcel-sorter.yaml"
ratchet dataset push parcels "$work/parcels-1.pack"

say "Version 1: trained, tested against the majority baseline, released"
ratchet run start parcel-sorter --wait
expect_live 1

say "50,000 more photos arrive: the retrain starts by itself"
ratchet dataset push parcels "$work/parcels-2.pack"
# The trigger fires when the push is recorded; `--wait` follows the run that it made.
for _ in $(seq 100); do ratchet -o json run show 2 >/dev/null 2>&1 && break; sleep 0.1; done
ratchet run show 2 --wait
expect_live 2

say "A ruinous learning rate: the gate refuses version 3"
if ratchet run start parcel-sorter --set train.params.learning_rate=10 --wait; then
  echo "the ruined model was promoted" >&2
  exit 1
fi
expect_live 2
ratchet model show parcel-sorter

say "One photo"
ratchet predict parcel-sorter "$work/photo.png"

say "Evidence from outside the loop: the official 10,000 test photos"
python3 "$here/parcel_accuracy.py" --versions 1,2 --at-least 2:0.91

say "Rollback to version 1, and forward again"
ratchet rollback parcel-sorter --reason "demonstration"
expect_live 1
ratchet rollback parcel-sorter --reason "demonstration: forward again"
expect_live 2
