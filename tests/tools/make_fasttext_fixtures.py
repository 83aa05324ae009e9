"""Makes the small classifiers of fixtures/models and what the official library predicts with them.

    pip install fasttext-wheel
    python tests/tools/make_fasttext_fixtures.py [--lid PATH/lid.176.ftz]

Everything is our own: the sentences, the models trained on them. With --lid also the expected values of lid.176, which is
not in the repository.
"""

import argparse
import json
import pathlib
import tempfile

import fasttext

FOLDER = pathlib.Path("fixtures/models")
COMMON = {"dim": 6, "epoch": 60, "lr": 0.5, "thread": 1, "minCount": 1, "verbose": 0, "seed": 7}
MODELS = {
    "softmax.bin": {"loss": "softmax", "wordNgrams": 2, "bucket": 300, "minn": 0, "maxn": 0},
    "tree.bin": {"loss": "hs", "wordNgrams": 1, "bucket": 400, "minn": 2, "maxn": 4},
    "negative.bin": {"loss": "ns", "wordNgrams": 3, "bucket": 300, "minn": 1, "maxn": 3},
    "one_vs_all.bin": {"loss": "ova", "wordNgrams": 1, "bucket": 200, "minn": 3, "maxn": 3},
}


# Labels of other styles, trained on scripts.tsv: the language and script of its rows, in the style's own words.
STYLES = {
    # As GlotLID has them: one script name for Chinese, codes for text that is none.
    "glotlid_style.bin": {"zho_Hans": "cmn_Hani", "zho_Hant": "cmn_Hani", "ara": "arb_Arab", "arz": "arz_Arab",
                          "msa": "zsm_Latn", "zxx": "zxx_Zxxx"},
    # As OpenLID and NLLB have them.
    "openlid_style.bin": {"ara": "arb_Arab", "arz": "arz_Arab", "msa": "zsm_Latn", "zxx": None},
}


def predictions(model, probes):
    for text in probes:
        best = model.f.predict(text + "\n", -1, 0.0, "strict")[:8]
        yield text, [[label, round(probability, 7)] for probability, label in best]


def write_expected(name, model, probes, limit):
    with open(FOLDER / (name + ".expected.jsonl"), "w", encoding="utf-8") as out:
        for text, best in predictions(model, probes):
            row = {"text": text, "best": best[:limit]}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lid")
    options = parser.parse_args()
    probes = (FOLDER / "probes.txt").read_text(encoding="utf-8").splitlines()
    rows = (FOLDER / "sentences.tsv").read_text(encoding="utf-8").splitlines()
    # One language has more examples, so that the tree is not an even one.
    rows += [row for row in rows if row.startswith("en\t")] * 2
    with tempfile.TemporaryDirectory() as folder:
        train = pathlib.Path(folder, "train.txt")
        train.write_text("".join("__label__{} {}\n".format(*row.split("\t")) for row in rows), encoding="utf-8")
        for name, settings in MODELS.items():
            model = fasttext.train_supervised(str(train), **COMMON, **settings)
            model.save_model(str(FOLDER / name))
            write_expected(name, model, probes, 8)
        settings = MODELS["tree.bin"] | {"bucket": 2000}
        for name, quantise in {
            "tree_pruned.ftz": {"qnorm": True, "qout": False, "cutoff": 500, "dsub": 2},
            "tree_whole.ftz": {"qnorm": False, "qout": False, "cutoff": 0, "dsub": 4},
        }.items():
            model = fasttext.train_supervised(str(train), **COMMON, **settings)
            model.quantize(str(train), thread=1, verbose=0, **quantise)
            model.save_model(str(FOLDER / name))
            write_expected(name, model, probes, 8)
    rows = (FOLDER / "scripts.tsv").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        train = pathlib.Path(folder, "train.txt")
        for name, style in STYLES.items():
            pairs = [row.split("\t") for row in rows]
            labelled = [(style.get(label, label), text) for label, text in pairs]
            lines = [f"__label__{label} {text}\n" for label, text in labelled if label]
            train.write_text("".join(lines), encoding="utf-8")
            settings = {"loss": "softmax", "wordNgrams": 1, "bucket": 800, "minn": 1, "maxn": 2}
            fasttext.train_supervised(str(train), **(COMMON | {"epoch": 400}), **settings).save_model(str(FOLDER / name))
    if options.lid:
        write_expected("lid.176.ftz", fasttext.load_model(options.lid), probes, 3)


if __name__ == "__main__":
    main()
