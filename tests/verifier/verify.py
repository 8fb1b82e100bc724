"""Verifies a log in C2SP's layout, its proofs and its exports; shares no code with Einklang.

Standard library, and `cryptography` for Ed25519. Usage: KEY=<verifier key> verify.py LOG, where LOG is a folder or a URL.
In a folder, every file under proofs/ and exports/ is verified too, and then damaged copies are, which must all fail.
"""

import base64
import csv
import hashlib
import json
import os
import pathlib
import random
import shutil
import sys
import tarfile
import tempfile
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NotVerified(Exception):
    """What was looked at does not show what it claims."""


def require(condition, why):
    if not condition:
        raise NotVerified(why)


# RFC 6962: the tree, by its definition and nothing cleverer.


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(hashes):
    """MTH, level by level: an odd node at the end moves up as it is."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        pairs = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes) - 1, 2)]
        hashes = pairs + hashes[len(hashes) // 2 * 2 :]
    return hashes[0]


def split(size):
    """The greatest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


def root_by_inclusion(leaf, index, size, proof):
    """The root that PATH(index, D[size]) leads to, by RFC 6962, section 2.1.1, read backwards."""
    if size == 1:
        require(not proof, "a proof of another length")
        return leaf
    require(proof, "a proof of another length")
    middle = split(size)
    if index < middle:
        return node_hash(root_by_inclusion(leaf, index, middle, proof[:-1]), proof[-1])
    return node_hash(proof[-1], root_by_inclusion(leaf, index - middle, size - middle, proof[:-1]))


def roots_by_consistency(old, size, old_root, proof, is_whole=True):
    """Both roots that SUBPROOF(old, D[size], is_whole) leads to, by RFC 6962, section 2.1.2, read backwards."""
    if old == size:
        if is_whole:
            require(not proof, "a proof of another length")
            return old_root, old_root
        require(len(proof) == 1, "a proof of another length")
        return proof[0], proof[0]
    require(proof, "a proof of another length")
    middle = split(size)
    if old <= middle:
        before, after = roots_by_consistency(old, middle, old_root, proof[:-1], is_whole)
        return before, node_hash(after, proof[-1])
    before, after = roots_by_consistency(old - middle, size - middle, old_root, proof[:-1], False)
    return node_hash(proof[-1], before), node_hash(proof[-1], after)


def require_continues(old, old_root, size, root, proof, what):
    require(old <= size, what)
    if old == 0:
        require(not proof and old_root == tree_root([]), what)
    else:
        require(roots_by_consistency(old, size, old_root, proof) == (old_root, root), what)


# C2SP: signed notes, checkpoints, tiles, bundles, proofs.


class Key:
    def __init__(self, text):
        self.name, self.id, key = text.strip().split("+", 2)
        key = base64.b64decode(key, validate=True)
        computed = hashlib.sha256(self.name.encode() + b"\n" + key).hexdigest()[:8]
        require(key[0] == 1 and self.id == computed, "not an Ed25519 verifier key")
        self.public = Ed25519PublicKey.from_public_bytes(key[1:])

    def require_signed(self, data, signature, what):
        try:
            self.public.verify(signature, data)
        except InvalidSignature:
            raise NotVerified(f"{what}: not signed by the key") from None

    def checkpoint(self, note):
        text, blank, signatures = note.decode().rpartition("\n\n")
        require(blank, "not a signed note")
        text += "\n"
        for line in signatures.splitlines():
            dash, name, blob = line.split(" ")
            blob = base64.b64decode(blob, validate=True)
            if (dash, name, blob[:4].hex()) == ("\u2014", self.name, self.id):
                self.require_signed(text.encode(), blob[4:], "a checkpoint")
                origin, size, root, rest = text.split("\n")
                require(origin == self.name and not rest, "a checkpoint of another log")
                return int(size), base64.b64decode(root, validate=True)
        raise NotVerified("a checkpoint: not signed by the key")


def number_path(number):
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    return "/".join(parts)


def read(base, path):
    if not base.startswith("http"):
        return pathlib.Path(base, path).read_bytes()
    headers = {"Authorization": os.environ.get("AUTHORIZATION", "")}
    with urllib.request.urlopen(urllib.request.Request(f"{base.rstrip('/')}/{path}", headers=headers)) as answer:
        return answer.read()


def tiles_of(base, level, count):
    """The hashes or entries of one level, from all of its tiles."""
    for tile in range((count + 255) // 256):
        width = min(256, count - tile * 256)
        data = read(base, f"tile/{level}/{number_path(tile)}" + (f".p/{width}" if width < 256 else ""))
        if level == "entries":
            found = []
            while data:
                length = int.from_bytes(data[:2], "big")
                found.append(data[2 : 2 + length])
                require(len(found[-1]) == length, "a bundle that ends within an entry")
                data = data[2 + length :]
        else:
            found = [data[at : at + 32] for at in range(0, len(data), 32)]
        require(len(found) == width, f"tile {tile} of level {level} has another width")
        yield from found


def verify_log(base, key):
    """Everything that is served: entries against tiles, tiles against one another, and all against the checkpoint."""
    size, root = key.checkpoint(read(base, "checkpoint"))
    hashes = [leaf_hash(entry) for entry in tiles_of(base, "entries", size)]
    leaves, level = hashes, 0
    while hashes:
        require(list(tiles_of(base, level, len(hashes))) == hashes, f"level {level} is not what the level below makes")
        hashes = [tree_root(hashes[at : at + 256]) for at in range(0, len(hashes) // 256 * 256, 256)]
        level += 1
    require(tree_root(leaves) == root, "the entries do not lead to the signed root")
    return size, root, leaves


def verify_proof(text, entry, key):
    head, _, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    require(first == "c2sp.org/tlog-proof@v1", "not a tlog-proof")
    if lines[0].startswith("extra "):
        lines.pop(0)
    require(lines[0].startswith("index "), "not a tlog-proof")
    index, proof = int(lines[0][6:]), [base64.b64decode(line, validate=True) for line in lines[1:]]
    size, root = key.checkpoint(note.encode())
    require(index < size and root_by_inclusion(leaf_hash(entry), index, size, proof) == root, "another root")


# Exports, as docs/verifying.md describes them.


def decode(texts):
    return [base64.b64decode(text, validate=True) for text in texts]


def verify_export(folder, key):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    key.require_signed(files["manifest.json"], base64.b64decode(files["manifest.sig"]), "manifest.json")
    manifest = json.loads(files["manifest.json"])
    require(manifest["format"] == "einklang-audit-export/1" and manifest["origin"] == key.name, "another format or log")
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    require(sums.keys() == files.keys() - {"SHA256SUMS"}, "SHA256SUMS names other files")
    for name, digest in sums.items():
        require(hashlib.sha256(files[name]).hexdigest() == digest, f"{name} does not have its sum")
    size, root = key.checkpoint(files["checkpoint"])
    require(size == manifest["checkpoint"]["size"], "another checkpoint")
    nodes, rows = decode(manifest["frontier"]), 0
    for pair in manifest["files"]:
        for file in (pair["entries"], pair["beside"]):
            require(sums[file["name"]] == file["sha256"], f"{file['name']} is not the one of the manifest")
        lines = files[pair["entries"]["name"]].split(b"\n")
        require(lines.pop() == b"", "a line without its end")
        if manifest["content"] == "csv":
            lines = [row["entry"].encode() for row in csv.DictReader(line.decode() for line in lines)]
        beside = files[pair["beside"]["name"]]
        proofs = beside.splitlines() if manifest["kind"] == "filtered" else range(len(beside) // 32)
        require(len(lines) == len(proofs) == pair["rows"], "another number of rows")
        for row, line in enumerate(lines):
            leaf = leaf_hash(line)
            if manifest["kind"] == "filtered":
                told = json.loads(proofs[row])
                reached = root_by_inclusion(leaf, told["index"], size, decode(told["hashes"]))
                require(reached == root, f"entry {told['index']} does not fit")
            else:
                index = manifest["from"] + rows
                require(leaf == beside[32 * row : 32 * row + 32], f"entry {index} does not fit")
                while index % 2:
                    leaf, index = node_hash(nodes.pop(), leaf), index // 2
                nodes.append(leaf)
            rows += 1
    require(rows == manifest["rows"], "another number of rows")
    if manifest["kind"] == "full":
        while len(nodes) > 1:
            right = nodes.pop()
            nodes.append(node_hash(nodes.pop(), right))
        reached = nodes[0] if nodes else tree_root([])
        proof = decode(manifest["to_checkpoint"])
        require_continues(manifest["to"], reached, size, root, proof, "the entries do not lead to the signed root")
    if "earlier" in manifest:
        earlier, earlier_root = key.checkpoint(files["earlier-checkpoint"])
        proof = decode(manifest["earlier"]["consistency"])
        require_continues(earlier, earlier_root, size, root, proof, "the earlier checkpoint is not continued")
    return rows


def require_damage_is_found(folder, key, numbers, trials):
    """One bit of one file, `trials` times: whatever the file, the export must fail."""
    for _ in range(trials):
        path = numbers.choice(sorted(folder.iterdir()))
        good = path.read_bytes()
        bad = bytearray(good)
        bad[numbers.randrange(len(bad))] ^= 1 << numbers.randrange(8)
        path.write_bytes(bad)
        try:
            verify_export(folder, key)
        except (NotVerified, ValueError, KeyError, IndexError, csv.Error):
            path.write_bytes(good)
        else:
            raise NotVerified(f"a flipped bit in {path.name} was not found")


def main(base):
    key = Key(os.environ["KEY"])
    size, root, leaves = verify_log(base, key)
    print(f"python: verified: a log of {size} entries, with all of its tiles")
    folder = pathlib.Path(base)
    if not folder.is_dir():
        return
    earlier, earlier_root = key.checkpoint(read(base, "earlier-checkpoint"))
    require(tree_root(leaves[:earlier]) == earlier_root, "the earlier checkpoint is not continued")
    for path in sorted(folder.glob("proofs/*.tlog-proof")):
        verify_proof(path.read_text("utf-8"), path.with_suffix(".entry").read_bytes(), key)
        print(f"python: verified: {path.name}")
    numbers = random.Random(1)
    with tempfile.TemporaryDirectory() as scratch:
        for path in sorted(folder.glob("exports/*")):
            copy = pathlib.Path(scratch, path.name)
            if path.suffix == ".tar":
                copy.mkdir()
                with tarfile.open(path) as tar:
                    for member in tar:
                        pathlib.Path(copy, member.name).write_bytes(tar.extractfile(member).read())
            else:
                shutil.copytree(path, copy)
            rows = verify_export(copy, key)
            trials = 10 if rows > 10_000 else 100
            require_damage_is_found(copy, key, numbers, trials)
            print(f"python: verified: {path.name}, {rows} entries; {trials} flipped bits found")


try:
    main(sys.argv[1])
except (NotVerified, OSError) as error:
    sys.exit(f"python: NOT VERIFIED: {error}")
