#!/usr/bin/env python3
"""Compares `tamis records --list` with warcio and fastwarc, record by record.

    python3 -m venv venv && venv/bin/pip install warcio fastwarc brotli xxhash
    venv/bin/python tests/tools/compare_warc.py --tamis target/release/tamis FILE_OR_FOLDER...

Each reference reads a file up to its own first error; the record that it fails on does not count. Up to
there every record must agree: our document's address and payload hash with the payload that the reference
decodes, our skipped kind with type, status and media of its record. All differences are listed; those in
files in which we quarantine something are expected, any other one makes the exit code 1.
`--speed FILE` times both on one file instead: bytes of decompressed WARC per second.
"""

import argparse
import gzip
import os
import resource
import subprocess
import sys
import time

import xxhash
from fastwarc.warc import ArchiveIterator as FastWarc
from warcio.archiveiterator import ArchiveIterator as Warcio

PAGES = {"text/html", "application/xhtml+xml", "text/plain"}
KINDS = ["warcinfo", "request", "metadata", "revisit", "continuation", "resource", "conversion"]


def media_of(value):
    return (value or "").split(";")[0].strip().lower()


def expected(kind, is_http, status, media, content_type, payload, reader):
    """What the record must be for us: `document`, `skipped:KIND`, or None where only sniffing could tell."""
    if reader == "wet":
        if kind == "conversion":
            return "document" if media_of(content_type) in ("", "text/plain") else "skipped:media_type"
        return "skipped:" + (kind if kind in KINDS + ["response"] else "unknown_type")
    if kind == "response":
        if not is_http:
            return "skipped:not_http"
        if status != "200":
            return "skipped:http_status"
        if not media:
            return None
        return "document" if media in PAGES else "skipped:media_type"
    if kind == "resource" and media_of(content_type) in ("text/html", "application/xhtml+xml"):
        return "document"
    return "skipped:" + (kind if kind in KINDS else "unknown_type")


def by_warcio(path, reader):
    """(expected, address, payload) of each record, then the error that stopped it, if any."""
    rows = []
    try:
        with open(path, "rb") as file:
            for record in Warcio(file, arc2warc=False):
                headers = record.rec_headers
                kind = (record.rec_type or "").strip().lower()
                http = record.http_headers if kind == "response" else None
                status = http.get_statuscode() if http else ""
                media = media_of(http.get_header("Content-Type")) if http else ""
                address = (headers.get_header("WARC-Target-URI") or "").strip()
                if kind in ("response", "resource", "conversion"):
                    payload = record.content_stream().read()
                else:
                    payload = b""
                content_type = headers.get_header("Content-Type")
                want = expected(kind, http is not None, status, media, content_type, payload, reader)
                rows.append((want, address, payload))
    except Exception as error:  # the reference gives up; what it read so far still counts
        return rows, f"{type(error).__name__}: {str(error).strip().splitlines()[0][:70] if str(error).strip() else ''}"
    return rows, None


def by_fastwarc(path, reader):
    rows = []
    try:
        with open(path, "rb") as file:
            for record in FastWarc(file, parse_http=True, auto_decode="all", strict_mode=False):
                headers = record.headers
                kind = (headers.get("WARC-Type") or "").strip().lower()
                http = record.http_headers if kind == "response" and record.is_http else None
                status = str(http.status_code) if http is not None else ""
                media = media_of(http.get("Content-Type")) if http is not None else ""
                address = (headers.get("WARC-Target-URI") or "").strip()
                payload = record.reader.read() if kind in ("response", "resource", "conversion") else b""
                content_type = headers.get("Content-Type")
                want = expected(kind, http is not None, status, media, content_type, payload, reader)
                rows.append((want, address, payload))
    except Exception as error:
        return rows, f"{type(error).__name__}: {str(error).strip()[:70]}"
    return rows, None


def ours(tamis, path, reader):
    out = subprocess.run([*tamis, reader, "--list", path], capture_output=True, text=True)
    if out.returncode not in (0, 3):
        raise SystemExit(f"{path}: exit code {out.returncode}: {out.stderr}")
    rows = []
    for line in out.stdout.splitlines():
        _, record, _, kind, address, _, digest = line.split("\t")
        rows.append((int(record), kind, address, digest))
    return rows


def has_bare_line_feeds(path):
    """fastwarc takes such a header for one long line, in both of its modes; warcio and we read it."""
    with open(path, "rb") as file:
        line = file.readline(64)
    return line.endswith(b"\n") and not line.endswith(b"\r\n")


def compare(path, reader, mine, theirs, error):
    """Walks both lists; returns (agreeing, differences)."""
    agreeing, differences = 0, []
    at = 0
    if error is not None:
        theirs = theirs[:-1]
    for number, (want, address, payload) in enumerate(theirs):
        # Stretches that are no records at all do not count on the other side.
        while at < len(mine) and mine[at][1] == "bad:not_warc":
            at += 1
        if at == len(mine):
            differences.append(f"record {number}: {want} here, nothing from us")
            break
        _, kind, our_address, digest = mine[at]
        at += 1
        if address.startswith("<") and address.endswith(">"):
            address = address[1:-1]
        if kind.startswith("bad:"):
            differences.append(f"record {number}: {want}, {len(payload)} bytes here; quarantined as {kind[4:]}")
        elif want is not None and kind != want:
            differences.append(f"record {number}: {want} here, {kind} from us")
        elif kind == "document" and our_address.replace(" ", "%20") != address.replace(" ", "%20"):
            differences.append(f"record {number}: `{address}` here, `{our_address}` from us")
        elif kind == "document" and xxhash.xxh3_64_hexdigest(payload) != digest:
            differences.append(f"record {number}: payload differs ({len(payload)} bytes here)")
        else:
            agreeing += 1
    rest = [row for row in mine[at:] if not row[1].startswith("bad:")]
    if rest and error is None:
        differences.append(f"{len(rest)} records from us that it does not see")
    return agreeing, differences


def files_of(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, _, names in sorted(os.walk(path)):
                for name in sorted(names):
                    yield os.path.join(folder, name)
        else:
            yield path


def speed(tamis, path):
    with gzip.open(path) as file:
        plain = sum(len(block) for block in iter(lambda: file.read(1 << 20), b""))

    def report(name, seconds):
        print(f"{name}: {seconds:.3f} CPU s, {plain / seconds / 1e6:.0f} MB/s of WARC")

    def child_cpu(command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def fast(decode):
        started = time.process_time()
        pages = 0
        with open(path, "rb") as file:
            for record in FastWarc(file, parse_http=decode, auto_decode="all" if decode else "none"):
                if not decode or record.headers.get("WARC-Type") == "response":
                    pages += len(record.reader.read())
        return time.process_time() - started

    def slow():
        started = time.process_time()
        with open(path, "rb") as file:
            for record in Warcio(file):
                record.content_stream().read()
        return time.process_time() - started

    print(f"{os.path.basename(path)}: {plain / 1e6:.1f} MB of WARC; best of three")
    report("tamis, pages decoded", min(child_cpu([*tamis, "warc", path]) for _ in range(3)))
    report("fastwarc, pages decoded", min(fast(True) for _ in range(3)))
    report("fastwarc, records read as they are", min(fast(False) for _ in range(3)))
    report("warcio", min(slow() for _ in range(3)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tamis", nargs="+", default=["target/release/tamis", "records"], help="program and command")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--reader", choices=["warc", "wet"], help="default: wet for names with .wet, else warc")
    parser.add_argument("paths", nargs="+")
    args = parser.parse_args()
    unexplained = 0
    total = {"warcio": (0, 0), "fastwarc": (0, 0)}
    for path in files_of(args.paths):
        if args.speed:
            speed(args.tamis, path)
            continue
        reader = args.reader or ("wet" if ".wet" in os.path.basename(path) else "warc")
        mine = ours(args.tamis, path, reader)
        bad = sorted({row[1][4:] for row in mine if row[1].startswith("bad:")})
        shown = f"{len(mine)} records, {sum(row[1] == 'document' for row in mine)} documents"
        if bad:
            shown += ", quarantined: " + ", ".join(
                f"{cause} {sum(row[1] == 'bad:' + cause for row in mine)}" for cause in bad
            )
        print(f"{path}\t{reader}: {shown}")
        for name, read in (("warcio", by_warcio), ("fastwarc", by_fastwarc)):
            if name == "fastwarc" and has_bare_line_feeds(path):
                print("    fastwarc: does not read headers with bare line feeds")
                continue
            theirs, error = read(path, reader)
            agreeing, differences = compare(path, reader, mine, theirs, error)
            line = f"    {name}: {agreeing} of {len(theirs)} agree"
            if error:
                line += f", then it stops ({error})"
            print(line)
            for difference in differences:
                print(f"        {difference}")
            total[name] = [a + b for a, b in zip(total[name], (agreeing, len(theirs)))]
            unexplained += 0 if bad else len(differences)
    for name, (agreeing, seen) in total.items():
        print(f"all files: {agreeing} of the {seen} records that {name} hands out agree")
    print(f"{unexplained} differences in files that are whole")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
