"""Compares the decisions of the stage `url` with datatrove's URLFilter rules on addresses made from its own lists.

    pip install tldextract; pip download --no-deps datatrove==0.10.1
    unpack datatrove/assets of the wheel and the blacklist archive in it into one folder, then:
    python tests/tools/compare_url.py FOLDER [MORE_ADDRESSES]

The rules are written from ../shared/spec/filters.md, section 6. Addresses: every 100th listed domain plain, with `www.` in front, and
with a path that holds listed words; MORE_ADDRESSES is a file with one a line. Differences are shown by kind: only those that the
stage's comment names may be there.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import tldextract

NAMES = {
    "domain": "banned_domain",
    "subdomain": "banned_host",
    "url": "banned_url",
    "hard": "banned_word",
    "soft": "soft_words",
    "subword": "banned_substring",
}


def normal(text):
    return re.sub("[^a-zA-Z0-9]+", "", text).lower()


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    lines = {name: (folder / name).read_text().split("\n") for name in ("domains", "urls", "banned_words.txt", "soft_banned_words.txt", "banned_subwords.txt")}
    domains, urls = set(lines["domains"]), set(lines["urls"])
    hard, soft, subwords = ({normal(word) for word in lines[name] if word and word[0] != "#"} for name in ("banned_words.txt", "soft_banned_words.txt", "banned_subwords.txt"))
    extract = tldextract.TLDExtract(suffix_list_urls=())

    def theirs(url):
        parts = extract(url)
        if parts.top_domain_under_public_suffix in domains:
            return "domain"
        if parts.fqdn in domains:
            return "subdomain"
        if url in urls:
            return "url"
        words = set(re.split("[^a-zA-Z0-9]+", url))
        if words & hard:
            return "hard"
        if len(words & soft) >= 2:
            return "soft"
        if any(word in normal(url) for word in subwords):
            return "subword"
        return "keep"

    addresses = []
    words = sorted(hard | soft)
    for i, domain in enumerate(filter(None, lines["domains"][::100])):
        addresses += [f"http://{domain}/", f"https://www.{domain}/index.html"]
        addresses.append(f"https://example-{i}.org/{words[i % len(words)]}/{words[i * 7 % len(words)]}?p={i}")
        addresses.append(f"https://{domain.split('.', 1)[-1]}/{'Aa' if i % 2 else ''}{i}")
    addresses += ["http://" + url for url in lines["urls"][::10] if url]
    if len(sys.argv) > 2:
        addresses += pathlib.Path(sys.argv[2]).read_text().splitlines()
    options = {
        "domain_lists": [str(folder / "domains")],
        "url_lists": [str(folder / "urls")],
        "banned_word_lists": [str(folder / "banned_words.txt")],
        "soft_word_lists": [str(folder / "soft_banned_words.txt")],
        "banned_substring_lists": [str(folder / "banned_subwords.txt")],
        "match_parent_domains": False,
    }
    with tempfile.TemporaryDirectory() as temporary:
        paths = [pathlib.Path(temporary, name) for name in ("options", "lines", "out")]
        paths[0].write_text(json.dumps(options))
        paths[1].write_text("".join(address + "\n" for address in addresses))
        command = ["cargo", "bench", "--quiet", "--bench", "bench", "--", "language", "url-reasons", *map(str, paths)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        ours = paths[2].read_text().split()
    assert len(ours) == len(addresses)

    def cause(url, mine):
        """Why ours may say something else, of the differences that the stage's comment names."""
        if mine == "banned_url" and re.sub("^https?://(www\\.)?", "", url) in urls:
            return "listed without a scheme, so datatrove never finds it"
        host = re.sub("^https?://", "", url).split("/")[0].split(":")[0]
        if mine == "banned_host" and host in domains and not extract(url).top_domain_under_public_suffix:
            return "a listed host without a public suffix"
        return "UNEXPLAINED"

    kinds, examples = collections.Counter(), {}
    for address, mine in zip(addresses, ours):
        other = theirs(address)
        other = NAMES.get(other, other)
        kinds[other, mine, "" if other == mine else cause(address, mine)] += 1
        examples.setdefault((other, mine), []).append(address)
    print(f"{len(addresses)} addresses")
    for (other, mine, why), count in sorted(kinds.items()):
        print(f"{count:>8}  datatrove {other:<18} tamis {mine:<18} {why}")
        if why == "UNEXPLAINED":
            print("          ", ", ".join(examples[other, mine][:3]))
    different = sum(count for (*_, why), count in kinds.items() if why)
    unexplained = sum(count for (*_, why), count in kinds.items() if why == "UNEXPLAINED")
    print(f"{different} differ, {unexplained} of them for no known cause")
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    main()
