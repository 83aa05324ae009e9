"""Makes `fixtures/models/sentencepiece`: small models by the official library, and how it cuts some texts with them.

    pip install sentencepiece
    python tests/tools/make_sentencepiece_fixtures.py
    python tests/tools/make_sentencepiece_fixtures.py --compare TEXT_FILE...

The training text is invented here, so the models are ours. With `--compare`, models with the library's usual
normalisation (`nmt_nfkc`) are trained on the first file and both programs cut every line of all files (`cargo test` must
have built the library's test binary before); lines that differ are printed.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

import sentencepiece

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "fixtures/models/sentencepiece"

STEMS = "lamp river stone baker winter ladder kettle morning garden turnip copper willow".split()
ENDINGS = ["", "s", "ing", "ed", "er", "less", "ful"]
CHINESE = "山水木火土金日月人大小中天地上下来去"
TEXTS = [
    "the lamps of the river were copper, and the kettle is boiling",
    "  two  blanks and a tab\there ",
    "unknown Ωmega ☃☃ signs ☃ apart",
    "山水天地 and 月",
    "<sep>garden<sep> turnips",
    "ﬁne ﬁsh, full１２width",
    "",
    " ",
    "naïve café",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
]


def invented_lines(count):
    chance = random.Random(5)
    word = lambda: chance.choice(STEMS) + chance.choice(ENDINGS)
    for number in range(count):
        if number % 5 == 4:
            yield "".join(chance.choice(CHINESE) for _ in range(chance.randint(5, 15)))
        else:
            yield "the " + " ".join(word() for _ in range(chance.randint(4, 9))) + chance.choice([".", ", and so on", "!"])


def train(prefix, **options):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=invented_lines(2000), model_prefix=str(prefix), hard_vocab_limit=False,
        minloglevel=2, num_threads=1, **options,
    )


def make():
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder) / "rules.tsv"
        # Keys and replacements as hexadecimal code points.
        pairs = [("ﬁ", "fi"), ("ﬁs", "Fis"), ("１", "1"), ("２", "2"), ("\t", " "), ("ï", "i"), ("é", "ee")]
        code = lambda text: " ".join(f"{ord(c):X}" for c in text)
        rules.write_text("".join(f"{code(key)}\t{code(value)}\n" for key, value in pairs))
        kinds = {
            "unigram": {"model_type": "unigram", "vocab_size": 180, "normalization_rule_name": "identity"},
            "unigram-rules": {"model_type": "unigram", "vocab_size": 120, "normalization_rule_tsv": str(rules),
                              "user_defined_symbols": ["<sep>"], "remove_extra_whitespaces": False},
            "bpe": {"model_type": "bpe", "vocab_size": 160, "normalization_rule_tsv": str(rules),
                    "user_defined_symbols": ["<sep>"]},
            "bpe-bytes": {"model_type": "bpe", "vocab_size": 400, "normalization_rule_name": "identity",
                          "byte_fallback": True, "add_dummy_prefix": False},
        }
        cases = []
        for name, options in kinds.items():
            train(pathlib.Path(folder) / name, **options)
            model = pathlib.Path(folder) / f"{name}.model"
            (FOLDER / model.name).write_bytes(model.read_bytes())
            processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
            for text in TEXTS + list(invented_lines(30))[20:]:
                cases.append({"model": model.name, "text": text, "pieces": processor.encode(text, out_type=str)})
    lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    (FOLDER / "cases.jsonl").write_text(lines, encoding="utf-8")


def compare(files):
    for kind in ["unigram", "bpe"]:
        prefix = pathlib.Path(tempfile.mkdtemp()) / kind
        sentencepiece.SentencePieceTrainer.train(
            input=files[0], model_prefix=str(prefix), model_type=kind, vocab_size=8000,
            character_coverage=0.98, hard_vocab_limit=False, minloglevel=2,
        )
        processor = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
        cases = prefix.with_suffix(".jsonl")
        with open(cases, "w", encoding="utf-8") as out:
            for file in files:
                for line in open(file, encoding="utf-8"):
                    text = line.rstrip("\n")
                    out.write(json.dumps({"model": "", "text": text, "pieces": processor.encode(text, out_type=str)}, ensure_ascii=False) + "\n")
        environment = {"TAMIS_SENTENCEPIECE_MODEL": f"{prefix}.model", "TAMIS_SENTENCEPIECE_CASES": str(cases)}
        command = ["cargo", "test", "--release", "--lib", "sentencepiece", "--", "--nocapture", "other_models"]
        import os
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **environment})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compare"]:
        compare([str(pathlib.Path(file).resolve()) for file in sys.argv[2:]])
    else:
        make()
