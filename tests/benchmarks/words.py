"""The words of the texts that benchmarks fill in."""

from itertools import accumulate

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("a", "e", "io", "u") for c in ("lin", "mar", "ten", "rok", "s")]
RARE = "xylophone"  # in few texts, such as one message of 100,000
COMMON_FIRST = list(accumulate(1 / rank for rank in range(1, len(WORDS) + 1)))  # as in a language, by Zipf's law
