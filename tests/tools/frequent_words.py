#!/usr/bin/env python3
"""Makes src/stages/filter/language/frequent_words.txt from ../shared/data/text.tar.zst (unpacked):

    frequent_words.py TEXT_FOLDER [even] > src/stages/filter/language/frequent_words.txt

Per language that shares its script with others: its most frequent words, with how telling each is. From lingua's
sentences (`even`: every second one only, for figures on the others), and for languages that whatlang knows and lingua
lacks from the Declaration of Human Rights (`even`: every second article).

A line is a language: its code, the share of its words that are in the list (in thousandths), then words. A number
between them holds for the words behind it: ten times the natural logarithm of their share over one in 10,000.
"""
import sys
import unicodedata
import xml.etree.ElementTree as ET
from collections import Counter
from math import log
from pathlib import Path

WORDS = 300
FLOOR = 1e-4
# Scripts of several languages, as the names of their letters begin.
SHARED = ("LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "HEBREW", "GREEK", "BENGALI")
# Known to whatlang, not among lingua's sentences.
DECLARATIONS = {"ak": "aka_fante", "jv": "jav", "ne": "nep", "tk": "tuk_latn", "yi": "ydd"}


def words(text):
    kept = "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in text)
    return kept.lower().split()


def is_shared(text):
    letters = [c for c in text[:2000] if c.isalpha()]
    shared = sum(unicodedata.name(c, "").startswith(SHARED) for c in letters)
    return shared * 2 > len(letters)


def main():
    root, even = Path(sys.argv[1]), len(sys.argv) > 2
    texts = {}
    for path in (root / "lingua-testdata/sentences").glob("*.txt"):
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
        texts[path.stem] = " ".join(lines[::2] if even else lines)
    for code, name in DECLARATIONS.items():
        articles = list(ET.parse(root / f"udhr/udhr_{name}.xml").getroot())
        taken = articles[::2] if even else articles
        texts[code] = " ".join(text for article in taken for text in article.itertext())
    for code, text in sorted(texts.items()):
        if not is_shared(text):
            continue
        counts = Counter(words(text))
        total = sum(counts.values())
        chosen = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:WORDS]
        line = [code, str(round(1000 * sum(count for _, count in chosen) / total))]
        before = None
        for word, count in chosen:
            weight = round(10 * log(count / total / FLOOR))
            if weight < 1:
                break
            if weight != before:
                line.append(str(weight))
                before = weight
            line.append(word)
        print(" ".join(line))


main()
