#!/usr/bin/env python3
"""Reference corpus for `tamis calibrate`, out of ../shared/data/text.tar.zst (unpacked).

    reference_corpus.py TEXT_FOLDER [even|odd] > corpus.jsonl

One JSON object per pseudo-document: `text`, `lang`, `source`. Made of, per language:

* lingua: sentences of news and web pages, in a fixed shuffle, 4 to 24 to a document. Every second document has one
  sentence a line, the others paragraphs of two to five sentences.
* tatoeba: the sentences of a language as one document, where they are at least three.
* udhr, for languages that have sentences too, in their usual script: each translation as a whole, and in parts of eight articles; a line per title and paragraph.
* xquad: five consecutive paragraphs as an article, and each paragraph of at least 50 words or 100 characters without
  spaces alone.

`even` or `odd` takes every second document only, for checks on the other half.
"""
import json
import random
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

# Languages whose sentences follow each other without a space.
SPACELESS = {"zh", "ja", "th", "lo", "km", "my"}
# Codes of the sources that are not ISO 639-1 or 639-3, or mean another language there.
RENAMED = {"iw": "he", "jw": "jv", "zh-Hant": "zh", "als": "sq", "xx-Goth": None, "zlm": "ms"}
# Scripts and spellings of translations that are not the usual ones of the language.
OTHER_FORMS = {"Mong", "Java", "Tglg", "polyton"}
# Codes under which detectors also know a language.
ALSO = {"nb": "no", "nn": "no", "hr": "sh", "bs": "sh"}


def documents(root):
    for path in sorted((root / "lingua-testdata/sentences").glob("*.txt")):
        yield from sentence_documents(path.stem, path.read_text("utf-8").splitlines())
    by_language = {}
    for line in (root / "tatoeba-cld2/tatoeba_long.txt").read_text("utf-8").splitlines()[1:]:
        code, _, _, text = line.split("\t", 3)
        by_language.setdefault(code, []).append(text)
    for code, texts in sorted(by_language.items()):
        if len(texts) >= 3:
            yield code, "tatoeba", "\n".join(texts)
    languages = {path.stem for path in (root / "lingua-testdata/sentences").glob("*.txt")}
    for path in sorted((root / "udhr").glob("*.xml")):
        tree = ET.parse(path).getroot()
        tag = tree.get("{http://www.w3.org/XML/1998/namespace}lang")
        code = RENAMED.get(tag, tag.split("-")[0])
        if code not in languages or tag.split("-")[-1] in OTHER_FORMS:
            continue
        sections = [lines for section in tree if (lines := section_lines(section))]
        if sum(map(len, sections)) < 40:
            continue
        yield code, "udhr", "\n".join(line for lines in sections for line in lines)
        for start in range(0, len(sections), 8):
            yield code, "udhr", "\n".join(line for lines in sections[start : start + 8] for line in lines)
    for path in sorted((root / "xquad-contexts").glob("xquad.*.txt")):
        code = path.suffixes[0][1:]
        paragraphs = path.read_text("utf-8").splitlines()
        for start in range(0, len(paragraphs), 5):
            yield code, "xquad", "\n".join(paragraphs[start : start + 5])
        for paragraph in paragraphs:
            if (len(paragraph) >= 100) if code in SPACELESS else (len(paragraph.split()) >= 50):
                yield code, "xquad", paragraph


def section_lines(section):
    """The text of the lowest elements of an article, or of the title."""
    lines = []
    for element in section.iter():
        text = " ".join((element.text or "").split())
        if text and not text.startswith("[") and not element.tag.endswith("note"):
            lines.append(text)
    return lines


def sentence_documents(code, sentences):
    rng = random.Random(f"tamis {code}")
    sentences = [s.strip() for s in sentences if s.strip()]
    rng.shuffle(sentences)
    space = "" if code in SPACELESS else " "
    number = 0
    while sentences:
        size = rng.randint(4, 24)
        if len(sentences) < size + 4:
            size = len(sentences)
        taken, sentences = sentences[:size], sentences[size:]
        if number % 2:
            yield code, "lingua", "\n".join(taken)
        else:
            lines = []
            while taken:
                count = rng.randint(2, 5)
                lines.append(space.join(taken[:count]))
                taken = taken[count:]
            yield code, "lingua", "\n".join(lines)
        number += 1


def main():
    root = Path(sys.argv[1])
    half = {"even": 0, "odd": 1}.get(sys.argv[2]) if len(sys.argv) > 2 else None
    for number, (code, source, text) in enumerate(documents(root)):
        code = RENAMED.get(code, code)
        if code and (half is None or number % 2 == half):
            for lang in filter(None, (code, ALSO.get(code))):
                print(json.dumps({"lang": lang, "source": source, "text": text}, ensure_ascii=False))


main()
