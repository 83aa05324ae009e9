"""Makes fixtures/models/ngram: tiny models of invented text in every form that KenLM writes, and KenLM's scores.

    python tests/tools/make_ngram_fixtures.py FOLDER_OF_KENLM_PROGRAMS fixtures/models/ngram

The folder holds `lmplz`, `build_binary` and `query`, compiled with -DKENLM_MAX_ORDER=7. `fable` is a usual model of order
4; `odd` is ARPA text of order 7 written here, with what usual models do not have.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

FORMS = {
    "probing": ["probing"],
    # Room for what `odd` leaves out.
    "roomy": ["-p", "8", "probing"],
    "trie": ["trie"],
    "qtrie": ["-q", "4", "-b", "3", "trie"],
    "atrie": ["-a", "255", "trie"],
    "qatrie": ["-q", "5", "-b", "4", "-a", "7", "trie"],
}

USUAL = ["probing", "trie", "qtrie", "atrie", "qatrie"]

WHO = ["the miller", "a heron", "my aunt", "the clerk", "a tall goose", "nobody", "the eldest baker", "a fox"]
DID = ["painted", "sold", "carried", "forgot", "mended", "counted", "borrowed"]
WHAT = ["the gate", "seven lamps", "a copper bell", "the last turnip", "his cart", "old maps", "a basket of plums"]
WHEN = ["before noon", "at the ferry", "in the rain", "twice", "behind the mill", "for no reason", "on a Tuesday"]

# No <unk>; `b c` is missing under `a b c`, and more so under `a b c d ...`; a positive backoff, one of minus zero, one
# on an n-gram that nothing follows; blanks where tabs are usual; a word of non-Latin letters.
ODD = """\\data\\
ngram 1=8
ngram 2=6
ngram 3=4
ngram 4=2
ngram 5=2
ngram 6=1
ngram 7=1

\\1-grams:
-99\t<s>\t-0.5
-1.25\t</s>
-0.75\ta\t-0.25
-1.5\tb\t-0.125
-1.75\tc\t0.0625
-2\td\t-0.0
-2.5\tжук\t-0.375
-3\tz\t-7.5

\\2-grams:
-0.5\t<s> a\t-0.3
-0.625\ta b\t-0.2
-0.875\td жук\t-0.15
-1.125\tжук a
-0.25\tz z
-1 b a\t-0.1

\\3-grams:
-0.3125\t<s> a b\t-0.05
-0.4375\ta b c\t-0.35
-0.5625\tb a b
-0.6875\td жук a\t-0.45

\\4-grams:
-0.1875\t<s> a b c\t-0.55
-0.2125\ta b c d\t-0.65

\\5-grams:
-0.0625\t<s> a b c d\t-0.75
-0.03125\ta b c d жук\t-0.85

\\6-grams:
-0.015625\t<s> a b c d жук\t-0.95

\\7-grams:
-0.0078125\t<s> a b c d жук a

\\end\\
"""


def sentences():
    chance = random.Random(20)
    return [" ".join(chance.choice(part) for part in (WHO, DID, WHAT, WHEN)) for _ in range(40)]


def probes(words):
    chance = random.Random(21)
    lines = sentences()[::5] + ["", "unknown", "<unk>", "<UNK> the", "<s>", "</s> </s>", "the <s> miller sold </s> a"]
    for length in range(1, 12):
        lines.append(" ".join(chance.choice(words) for _ in range(length)))
    return lines


def score(query, model, lines):
    """KenLM's [log10 probability, length of the n-gram, unknown] per word, </s> last."""
    text = "".join(line + "\n" for line in lines)
    command = [query, "-v", "word", "-v", "sentence", model]
    found = subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout
    rows = []
    for line in found.splitlines()[: len(lines)]:
        cells = [cell.rsplit("=", 1)[1].split() for cell in line.split("\t") if "=" in cell]
        rows.append([[float(prob), int(length), int(word == "0")] for word, length, prob in cells])
    return rows


def main():
    programs, target = map(pathlib.Path, sys.argv[1:])
    lmplz, build, query = (programs / name for name in ("lmplz", "build_binary", "query"))
    text = "".join(line + "\n" for line in sentences())
    with tempfile.TemporaryDirectory() as temporary:
        command = [lmplz, "-o", "4", "-S", "100M", "-T", temporary + "/", "--discount_fallback"]
        fable = subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout
    (target / "fable.arpa").write_text(fable)
    (target / "odd.arpa").write_text(ODD)
    for name, forms in (("fable", USUAL), ("odd", ["roomy", "trie", "qatrie"])):
        words = " ".join(sentences()).split()[:80] if name == "fable" else ["a", "b", "c", "d", "жук", "z", "y"]
        lines = probes(words)
        if name == "odd":
            lines += ["a b c d жук a", "a b c d жук a b c d", "z z", "b c d", "x a b c d жук"]
        source = target / f"{name}.arpa"
        for form in forms:
            model = target / f"{name}.{form}"
            subprocess.run([build, *FORMS[form], source, model], check=True, capture_output=True)
            rows = score(query, model, lines)
            table = "".join(json.dumps([line, row], ensure_ascii=False) + "\n" for line, row in zip(lines, rows))
            whole = not form.startswith("q")
            expected = target / f"{name}.{'arpa' if whole else form}.expected.jsonl"
            if form in ("trie", "atrie") and expected.read_text() != table:
                sys.exit(f"{model}: scores differ from those of the probing binary")
            expected.write_text(table)


if __name__ == "__main__":
    main()
