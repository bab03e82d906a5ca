"""Remakes image/ and the damaged files: python make.py (needs pillow and numpy)."""
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

here = Path(__file__).parent


def write(path, content):
    (here / path).parent.mkdir(exist_ok=True)
    (here / path).write_bytes(content)


# Every format and kind of pixel that is read, 13 x 9 pixels each.
rng = np.random.default_rng(0)
rgb = Image.fromarray(rng.integers(0, 256, (9, 13, 3)).astype(np.uint8))
deep = Image.fromarray(rng.integers(0, 65536, (9, 13)).astype(np.uint16))
floats = Image.fromarray(rng.random((9, 13)).astype(np.float32))
(here / "image").mkdir(exist_ok=True)
for name, picture, options in [
    ("rgb.png", rgb, {}),
    ("grey.png", rgb.convert("L"), {}),
    ("alpha.png", rgb.convert("RGBA"), {}),
    ("palette.png", rgb.quantize(7), {}),
    ("bits.png", rgb.convert("1"), {}),
    ("deep.png", deep, {}),
    ("baseline.jpg", rgb, {}),
    ("grey.jpg", rgb.convert("L"), {}),
    ("progressive.jpg", rgb, {"progressive": True}),
    ("restarts.jpg", rgb, {"restart_marker_blocks": 1}),
    ("cmyk.jpg", rgb.convert("CMYK"), {}),
    ("rgb.bmp", rgb, {}),
    ("palette.bmp", rgb.quantize(7), {}),
    ("plain.tiff", rgb, {}),
    ("lzw.tiff", rgb, {"compression": "tiff_lzw"}),
    ("deflate.tiff", rgb, {"compression": "tiff_adobe_deflate"}),
    ("packbits.tiff", rgb, {"compression": "packbits"}),
    ("jpeg.tiff", rgb, {"compression": "jpeg"}),
    ("fax.tiff", rgb.convert("1"), {"compression": "group4"}),
    ("deep.tiff", deep, {}),
    ("float.tiff", floats, {}),
]:
    picture.save(here / "image" / name, **options)

# Claims of many pixels in a few bytes.
def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, depth, kind, data=b"", extra=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


write("image/bomb-largest.png", png(2**31 - 1, 2**31 - 1, 16, 6))
write("image/bomb-allowed.png", png(10000, 10000, 8, 2))
write("image/bomb-deep.png", png(10000, 10000, 16, 6))
write("image/bomb-row.png", png(100_000_000, 1, 16, 6))
write("image/bomb-profile.png", png(1, 1, 8, 0, b"\0\0", chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(4_000_000), 9))))
write("image/bomb-largest.bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0))
write("image/bomb-allowed.bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 10000, 10000, 1, 24, 0, 0, 0, 0, 0, 0))
small = (here / "image" / "progressive.jpg").read_bytes()
frame = small.index(b"\xff\xc2")
for name, side in [("largest", 65535), ("allowed", 5000)]:
    write(f"image/bomb-{name}.jpg", small[: frame + 5] + struct.pack(">HH", side, side) + small[frame + 9 :])


def tiff(width, height, bits, samples, count):
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1),
               (273, 4, 1, 8), (277, 3, 1, samples), (278, 4, 1, height), (279, 4, 1, count)]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + body


write("image/bomb-largest.tiff", tiff(2**32 - 1, 2**32 - 1, 8, 1, 2**32 - 1))
write("image/bomb-allowed.tiff", tiff(10000, 10000, 8, 1, 100_000_000))
write("image/bomb-deep.tiff", tiff(10000, 10000, 32, 1, 400_000_000))

# Dictionaries whose header claims what is not there.
def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def features(shape, end, dtype="F32"):
    shots = [{"name": "a", "sha256": "b"}]
    metadata = {"sparsight": json.dumps({"version": 1, "bundle_sha256": "", "shots": shots})}
    return {"__metadata__": metadata, "support_features": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


write("dictionary/least", safetensors(features([1, 2, 1, 1], 8), bytes(8)))
write("dictionary/nan", safetensors(features([1, 1, 1, 2], 8), b"\0\0\xc0\x7f" * 2))
write("dictionary/overflowing", safetensors(features([2**32, 2**32, 1, 1], 0)))
write("dictionary/empty-sides", safetensors(features([1, 0, 2**40, 2**20], 0)))
write("dictionary/header-too-long", struct.pack("<Q", 2**63) + b"{}")
write("dictionary/nested", safetensors(b'{"a":' * 300 + b"1" + b"}" * 300))
write("dictionary/halves", safetensors(features([1, 2, 1, 1], 4, "F16"), bytes(4)))

write("bundle/0-no-graph", b"\0no graph")
write("bundle/2-probe", b"\2" + safetensors({"support": {"dtype": "F32", "shape": [0, 3, 32, 32], "data_offsets": [0, 0]}}))
write("bundle/3-no-manifest", b"\3schema_version: 1\n")
write("signature/1-short", b"\1untrusted comment: a\nRUQ=\ntrusted comment: b\nAA==\n")
write("signature/1-bare", b"\1untrusted comment: a\n" + b"A" * 100 + b"\ntrusted comment\n" + b"A" * 88 + b"\n")
write("signature/2-key", b"\2RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")
