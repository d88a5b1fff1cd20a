"""Small tables that the tests make themselves: who will leave, told by months, a plan and some noise."""

import random

CHURN_SPEC = """
model: churn
data:
  dataset: customers
  target: left
  split: {validation: 0.1, holdout: 0.3, key: id}
train:
  recipe: tabular.classifier
  params: {epochs: 8}
  seed: 7
  limits: {time: 5m, memory: 4GiB}
"""


def churn_csv(rows, start=0, seed=1):
    """`left` is yes for short contracts on plan a, with one row in twenty turned round; some cells are missing."""
    chance = random.Random(seed * 1_000_003 + start)
    lines = ["id,months,plan,spend,left"]
    for index in range(start, start + rows):
        months = chance.randint(1, 60)
        plan = chance.choice("abc")
        left = (months < 24) == (plan == "a")
        if chance.random() < 0.05:
            left = not left
        spend = "" if chance.random() < 0.1 else f"{chance.uniform(5, 90):.2f}"
        lines.append(f"c{index:06d},{months},{plan},{spend},{'yes' if left else 'no'}")
    return "\n".join(lines) + "\n"
