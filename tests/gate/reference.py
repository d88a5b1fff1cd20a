#!/usr/bin/python3
"""Writes reference_values.h: what the gate's tests must answer, worked out independently of them.

Exact tails are summed over whole numbers, the rest is done with 60 digits (python3-mpmath); the likeliest shares of Tango's
statistic come from bisecting the likelihood's slope, not from the closed form. Run: reference.py > reference_values.h
"""
from fractions import Fraction
from functools import cache
from math import comb

import mpmath as mp

mp.mp.dps = 60


@cache
def mcnemar_p(wins, losses):
    n = wins + losses
    term, total = comb(n, wins), 0
    for k in range(wins, n + 1):
        total += term
        term = term * (n - k) // (k + 1)
    return mp.mpf(total) / mp.mpf(2) ** n


def normal_above(z):
    return mp.erfc(z / mp.sqrt(2)) / 2


def score_statistic(rows, wins, losses, gain):
    """Continuity-corrected score of H0 P(win) − P(loss) = gain."""
    ties = rows - wins - losses

    def slope(q):
        total = -2 * mp.mpf(ties) / (1 - 2 * q - gain) if ties else mp.mpf(0)
        if wins:
            total += wins / (q + gain)
        if losses:
            total += losses / q
        return total

    low, high = max(mp.mpf(0), -gain), (1 - gain) / 2
    for _ in range(180):
        middle = (low + high) / 2
        if slope(middle) > 0:
            low = middle
        else:
            high = middle
    q = (low + high) / 2
    return (wins - losses - rows * gain - 1) / mp.sqrt(rows * (2 * q + gain - gain**2))


def share_p(rows, wins, losses, gain):
    if gain == 0:
        return mcnemar_p(wins, losses)
    p = normal_above(score_statistic(rows, wins, losses, gain))
    return max(p, mcnemar_p(wins, losses)) if gain > 0 else p


def share_lower(rows, wins, losses, alpha):
    low, high = mp.mpf(-1), mp.mpf(1)
    for _ in range(80):
        middle = (low + high) / 2
        if share_p(rows, wins, losses, middle) <= alpha:
            low = middle
        else:
            high = middle
    return low


def t_above(t, freedom):
    tail = mp.betainc(mp.mpf(freedom) / 2, mp.mpf(1) / 2, 0, freedom / (freedom + t**2), regularized=True) / 2
    return tail if t >= 0 else 1 - tail


def hall(t, rows, skewness):
    """Hall's cubic, as the four terms of the paper."""
    n = mp.mpf(rows)
    return t + skewness * t**2 / (3 * mp.sqrt(n)) + skewness**2 * t**3 / (27 * n) + skewness / (6 * mp.sqrt(n))


def mean_p(rows, mean, deviation, skewness, gain):
    t = (mean - gain) * mp.sqrt(rows) / deviation
    p = t_above(t, rows - 1)
    return max(p, t_above(hall(t, rows, skewness), rows - 1)) if skewness < 0 else p


def mean_lower(rows, mean, deviation, skewness, alpha):
    low, high = mean - 1000 * deviation, mean
    for _ in range(160):
        middle = (low + high) / 2
        if mean_p(rows, mean, deviation, skewness, middle) <= alpha:
            low = middle
        else:
            high = middle
    return low


def rmse_case(candidate, opponent, gain):
    n = len(candidate)
    c = [Fraction(x) for x in candidate]
    o = [Fraction(x) for x in opponent]
    mc, mo = (mp.sqrt(mp.mpf(sum(v).numerator) / sum(v).denominator / n) for v in (c, o))
    rows = [mp.mpf(float(b)) / (2 * mo) - mp.mpf(float(a)) / (2 * mc) for a, b in zip(c, o)]
    mean = sum(rows) / n
    deviation = mp.sqrt(sum((h - mean) ** 2 for h in rows) / (n - 1))
    skewness = sum((h - mean) ** 3 for h in rows) / n / (sum((h - mean) ** 2 for h in rows) / n) ** mp.mpf(1.5)
    return mo - mc, mean_p(n, mo - mc, deviation, skewness, gain)


def number(x):
    return mp.nstr(mp.mpf(x), 17, min_fixed=-4, max_fixed=17)


MCNEMAR = [(0, 0), (1, 0), (0, 1), (5, 0), (0, 7), (10, 3), (3, 10), (59, 41), (812, 430), (430, 812), (1000, 1000),
           (1000, 0), (1500, 160), (6000, 5800)]
SHARES = [(50, 10, 3, 0.05), (50, 10, 3, -0.05), (12000, 812, 430, 0.02), (12000, 812, 430, 0.03), (12000, 812, 430, 0.0319),
          (100, 0, 0, 0.01), (100, 0, 0, -0.1), (20, 20, 0, 0.5), (20, 0, 20, -0.5), (44, 3, 9, -0.4), (1000, 60, 0, 0.01),
          (60000, 900, 100, 0.01)]
BOUNDS = [(50, 10, 3, 0.05), (50, 3, 10, 0.05), (12000, 812, 430, 0.025), (12000, 812, 430, 0.001), (100, 0, 0, 0.05),
          (20, 20, 0, 0.05), (20, 0, 20, 0.05), (8, 3, 1, 0.2)]
MEANS = [(2, 0.5, 1.0, 0, 0.0), (10, 0.1, 0.2, 0, 0.0), (10, -0.1, 0.2, 0, 0.0), (1980, 0.031, 0.7, 0, 0.01),
         (50000, 0.17, 1.1, 0, 0.0), (50000, 0.2, 1.1, 0, 0.19), (100, 3.0, 0.1, 0, 0.0), (1980, 0.031, 0.7, -9.5, 0.0),
         (1980, 0.031, 0.7, 9.5, 0.0), (10, -0.1, 0.2, -2.1, 0.0), (400, 0.3, 0.7, -12.0, 0.0)]
MEAN_BOUNDS = [(2, 0.5, 1.0, 0, 0.05), (10, 0.1, 0.2, 0, 0.025), (1980, 0.031, 0.7, 0, 0.05), (1980, 0.031, 0.7, 0, 1e-6),
               (1980, 0.031, 0.7, -9.5, 0.05), (1980, 0.031, 0.7, -9.5, 1e-6), (1980, 0.031, 0.7, 9.5, 0.05),
               (25, 0.5, 1.0, -2.5, 0.003)]
RMSE = ([0.5, 1.5, 0.25, 4.0, 0.0, 2.25, 1.0, 0.75], [1.0, 1.25, 2.0, 4.5, 0.5, 3.0, 0.75, 2.0], [0.0, 0.1, 0.5])


def table(kind, name, rows):
    print(f"\ninline constexpr {kind} {name}[] = {{")
    for row in rows:
        print("    {" + ", ".join(str(x) for x in row) + "},")
    print("};")


def main():
    print("// Made by reference.py; not edited by hand.\n#pragma once\n\n#include <cstdint>\n")
    print("namespace ratchet::gate::reference {\n")
    print("struct Mcnemar {\n  std::int64_t wins, losses;\n  double p;\n};")
    print("struct Share {\n  std::int64_t rows, wins, losses;\n  double gain, p;\n};")
    print("struct ShareBound {\n  std::int64_t rows, wins, losses;\n  double alpha, bound;\n};")
    print("struct Mean {\n  std::int64_t rows;\n  double mean, deviation, skewness, gain, p;\n};")
    print("struct MeanBound {\n  std::int64_t rows;\n  double mean, deviation, skewness, alpha, bound;\n};")
    print("struct Rmse {\n  double better_by, gain, p;\n};")
    table("Mcnemar", "kMcnemar", [(w, l, number(mcnemar_p(w, l))) for w, l in MCNEMAR])
    table("Share", "kShares", [(*c, number(share_p(*c[:3], mp.mpf(c[3])))) for c in SHARES])
    table("ShareBound", "kShareBounds", [(*c, number(share_lower(*c[:3], mp.mpf(c[3])))) for c in BOUNDS])
    table("Mean", "kMeans", [(*c, number(mean_p(c[0], *map(mp.mpf, c[1:])))) for c in MEANS])
    table("MeanBound", "kMeanBounds", [(*c, number(mean_lower(c[0], *map(mp.mpf, c[1:])))) for c in MEAN_BOUNDS])
    candidate, opponent, gains = RMSE
    print(f"\ninline constexpr double kRmseCandidate[] = {{{', '.join(map(str, candidate))}}};")
    print(f"inline constexpr double kRmseOpponent[] = {{{', '.join(map(str, opponent))}}};")
    table("Rmse", "kRmse", [(g, *map(number, rmse_case(candidate, opponent, mp.mpf(g)))) for g in gains])
    print("\n}  // namespace ratchet::gate::reference")


if __name__ == "__main__":
    main()
