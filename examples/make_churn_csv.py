#!/usr/bin/env python3
"""Writes a made-up table of customers, some of whom leave, as CSV: the data for churn.yaml.

    make_churn_csv.py --rows 5000 --seed 1 --out churn.csv

The same seed gives the same file. --first numbers the customers from there on, so that a second file holds new ones.
Whether somebody leaves depends on tenure, fee, complaints and plan, with chance on top: no model can be perfect.
"""

import argparse
import csv
import math
import random
import sys

COLUMNS = ["customer", "plan", "country", "tenure_months", "monthly_fee", "complaints", "logins_per_week", "churned"]
FEES = {"basic": 12.0, "plus": 24.0, "pro": 49.0}


def customer(number, chance):
    plan = chance.choices(list(FEES), weights=[5, 3, 2])[0]
    tenure = int(chance.expovariate(1 / 20)) + 1
    fee = round(FEES[plan] * chance.uniform(0.8, 1.3), 2)
    complaints = min(9, int(chance.expovariate(1.2)))
    logins = round(max(0.0, chance.gauss(5, 2.5)), 1)
    leaning = 0.6 - 0.05 * tenure + 0.03 * fee + 0.9 * complaints - 0.35 * logins + (0.8 if plan == "basic" else 0.0)
    leaves = chance.random() < 1 / (1 + math.exp(-leaning))
    # Real tables have gaps: an empty cell is a missing value.
    shown_fee = "" if chance.random() < 0.02 else fee
    shown_logins = "" if chance.random() < 0.03 else logins
    country = chance.choice(["DE", "FR", "NL", "PL", "AT"])
    return [f"c{number:07d}", plan, country, tenure, shown_fee, complaints, shown_logins, "yes" if leaves else "no"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000, help="how many customers (default 5000)")
    parser.add_argument("--first", type=int, default=1, help="number of the first customer (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default 1)")
    parser.add_argument("--out", default="-", help="the file, or - for standard output (default)")
    options = parser.parse_args()
    if options.rows < 1 or options.first < 0:
        parser.error("--rows must be at least 1 and --first at least 0")
    out = sys.stdout if options.out == "-" else open(options.out, "w", newline="", encoding="utf-8")
    with out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in range(options.first, options.first + options.rows):
            # A generator for each customer: customer 17 is the same one, whatever part of the table is asked for.
            writer.writerow(customer(number, random.Random(f"{options.seed}/{number}")))


if __name__ == "__main__":
    main()
