"""Compares the stage `keywords` with the regular expression of datatrove's C4BadWordsFilter: verdicts and CPU time.

    python tests/tools/compare_keywords.py LISTS PAGES.jsonl [STOPWORDS.json]

LISTS is a folder of lists named by language (LDNOOBW), PAGES has `text` on every line; STOPWORDS is stopwords-iso.json, whose words of all
languages together make a list of some 19,000 entries. The expression is built as datatrove builds it, `(?:\\W|^)(a|b|...)(?:\\W|$)` over
the text in small letters, once for each set of words; where it takes too long for all pages, the first ones are taken, by bytes.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

BUDGET_SECS = 60


def ours(words, pages, folder):
    paths = [pathlib.Path(folder, name) for name in ("options", "pages", "out")]
    paths[0].write_text(json.dumps({"words": sorted(words), "match": "whole_word"}))
    paths[1].write_text("".join(json.dumps({"text": page}) + "\n" for page in pages))
    command = ["cargo", "bench", "--quiet", "--bench", "bench", "--", "keywords", *map(str, paths)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("\n")
    print("   tamis:", "; ".join(lines))
    return [float(count) > 0 for count in paths[2].read_text().split()], float(lines[-1].split()[0])


def theirs(words, pages):
    expression = re.compile(r"(?:\W|^)({})(?:\W|$)".format("|".join(re.escape(word) for word in sorted(words))))
    verdicts, size = [], 0
    start = time.process_time()
    for page in pages:
        verdicts.append(expression.search(page.lower()) is not None)
        size += len(page.encode())
        if time.process_time() - start > BUDGET_SECS:
            break
    secs = time.process_time() - start
    print(f"   datatrove's expression: {len(verdicts)} pages, {size / 1e6:.1f} MB in {secs:.1f} CPU s, {size / 1e6 / secs:.2f} MB/s")
    return verdicts, size / 1e6 / secs


def main():
    folder = pathlib.Path(sys.argv[1])
    pages = [json.loads(line)["text"] for line in open(sys.argv[2], encoding="utf-8")]
    lists = {path.name: {line.strip().lower() for line in path.read_text().split("\n") if line.strip()} for path in sorted(folder.iterdir()) if "." not in path.name and path.name != "LICENSE"}
    sets = {"one list (en)": lists["en"], "all lists": set().union(*lists.values())}
    if len(sys.argv) > 3:
        stopwords = json.loads(pathlib.Path(sys.argv[3]).read_text())
        english = set(stopwords["en"])
        every = {word.lower() for words in stopwords.values() for word in words if word.strip()}
        sets["stop words of all languages"] = every
        # Every page holds an English stop word at once: without them the expression has to look on.
        sets["stop words of all languages but those of English pages"] = {word for word in every if word not in english and not word.isascii()} | {word for word in every if len(word) > 7 and word not in english}
    for name, words in sets.items():
        print(f"{name}: {len(words)} entries")
        with tempfile.TemporaryDirectory() as temporary:
            mine, speed = ours(words, pages, temporary)
        other, other_speed = theirs(words, pages)
        different = [page for page, (a, b) in enumerate(zip(mine, other)) if a != b]
        print(f"   {speed / other_speed:.0f} times as fast; {len(different)} of {len(other)} verdicts differ: pages {different[:8]}")


if __name__ == "__main__":
    main()
