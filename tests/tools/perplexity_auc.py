#!/usr/bin/env python3
"""ROC AUC of perplexity between real paragraphs and spoilt versions of them.

    python tests/tools/perplexity_auc.py TEXT_FOLDER [TAMIS]

TEXT_FOLDER is `text.tar.zst` unpacked. For each language the second half of XQuAD's paragraphs (other articles), lingua's
sentences and the UDHR train a model (English: wikitext-2 too); the first half is judged. Words are lower-cased, digits are 0, punctuation
stands apart; Chinese is characters.
"""
import pathlib
import random
import re
import subprocess
import sys
import tempfile

UDHR = {"ar": "arb", "en": "eng", "es": "spa", "hi": "hin", "ro": "ron_2006", "zh": "cmn_hans"}


def tokens(text, characters):
    text = re.sub(r"\d", "0", text.lower())
    return [c for c in text if not c.isspace()] if characters else re.findall(r"\w+|[^\w\s]", text)


def auc(real, spoilt):
    wins = sum((s > r) + (s == r) / 2 for r in real for s in spoilt)
    return wins / len(real) / len(spoilt)


def spoil(kind, text, everything, rng, characters):
    units = list(text) if characters else text.split()
    glue = "" if characters else " "
    if kind == "shuffled":
        rng.shuffle(units)
        return glue.join(units)
    if kind == "noise":
        letters = everything["letters"]
        return "".join(rng.choice(letters) if c.isalpha() and rng.random() < 0.2 else c for c in text)
    if kind == "random":
        return glue.join(rng.choice(everything["units"]) for _ in units)
    if characters:
        keys = [text[i : i + 2] for i in rng.sample(range(len(text) - 1), 8)]
    else:
        keys = sorted(set(units), key=lambda w: (-len(w), w))[:8]
    out = []
    while sum(map(len, out)) < len(text):
        out.append(rng.choice(keys))
    return glue.join(out)


def main():
    folder = pathlib.Path(sys.argv[1])
    tamis = sys.argv[2] if len(sys.argv) > 2 else "target/release/tamis"
    kinds = ["shuffled", "noise", "random", "stuffed"]
    print("| language | train MB | " + " | ".join(kinds) + " |")
    for language in UDHR:
        characters = language == "zh"
        lines = lambda path: [line for line in path.read_text("utf-8").split("\n") if line.strip()]
        paragraphs = lines(folder / f"xquad-contexts/xquad.{language}.txt")
        half = len(paragraphs) // 2
        train, test = paragraphs[half:], paragraphs[:half]
        train += lines(folder / f"lingua-testdata/sentences/{language}.txt")
        udhr = folder / f"udhr/udhr_{UDHR[language]}.xml"
        if udhr.exists():
            train += re.findall(r"<para>(.*?)</para>", udhr.read_text("utf-8"), re.S)
        if language == "en":
            train += [l.replace(" @-@ ", "-").replace(" @,@ ", ",") for l in lines(folder / "wikitext-2/valid.txt")]
        with tempfile.TemporaryDirectory() as scratch:
            text, model = f"{scratch}/text", f"{scratch}/model"
            with open(text, "w", encoding="utf-8") as file:
                file.writelines(" ".join(tokens(line, characters)) + "\n" for line in train)
            command = [tamis, "lm", "train", "--order", "3", "--text", text, "--binary", model]
            subprocess.run([*command, "--discount-fallback", "--skip-symbols"], check=True, stdout=subprocess.DEVNULL)

            def perplexities(texts):
                joined = "".join(" ".join(tokens(text, characters)) + "\n" for text in texts)
                command = [tamis, "lm", "score", "--model", model]
                rows = subprocess.run(command, input=joined, capture_output=True, text=True, check=True).stdout
                return [-float(row.split("\t")[0]) / float(row.split("\t")[1]) for row in rows.splitlines()]

            everything = {
                "letters": [c for text in test for c in text if c.isalpha()],
                "units": [u for text in test for u in (text if characters else text.split())],
            }
            rng = random.Random(7)
            real = perplexities(test)
            values = [
                auc(real, perplexities([spoil(kind, text, everything, rng, characters) for text in test]))
                for kind in kinds
            ]
        megabytes = sum(map(len, train)) / 1e6
        print(f"| {language} | {megabytes:.2f} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True)


main()
