import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from harness.formats.images import (
    CorruptArtifactError,
    UnreadableImageError,
    decode,
    decode_perturbation,
    encode_perturbation,
    encode_png,
    enforce,
    linf,
    pixel_digest,
    pixel_limit,
)

#: A busy host is no fault of the code.
SIZE = (20, 10)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (10, 20, 3), np.uint8)


def saved(image, form, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def rgb(**options) -> Image.Image:
    return Image.fromarray(PIXELS, **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, raw, interlace=0) -> bytes:
    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def rgba() -> Image.Image:
    return Image.fromarray(np.dstack([PIXELS, RNG.integers(0, 256, PIXELS.shape[:2], np.uint8)]))


def palette() -> tuple[Image.Image, np.ndarray]:
    image = Image.fromarray(RNG.integers(0, 4, (10, 20), np.uint8)).convert("P")
    colours = RNG.integers(0, 256, (4, 3), np.uint8)
    image.putpalette(colours.tobytes())
    return image, colours[np.asarray(image)]


def deep_grey() -> bytes:
    rows = RNG.integers(0, 65536, (10, 20)).astype(">u2")
    return png(20, 10, 16, 0, b"".join(b"\0" + row.tobytes() for row in rows))


def deep_grey_pixels(data: bytes) -> np.ndarray:
    raw = zlib.decompress(data[data.index(b"IDAT") + 4 :])
    rows = np.frombuffer(raw, np.uint8).reshape(10, 41)[:, 1::2]
    return np.repeat(rows[:, :, None], 3, axis=2)


DEEP = deep_grey()
DEEP_RGB = b"".join(b"\0" + row.astype(">u2").tobytes() for row in PIXELS.astype(int) * 257)
PALETTE, PALETTE_PIXELS = palette()
GREY = PIXELS[:, :, 0]
OTHER = Image.fromarray(255 - PIXELS)
READABLE = {
    "our own PNG": (encode_png(PIXELS), PIXELS),
    "PNG": (saved(rgb(), "PNG"), PIXELS),
    "PNG with alpha, which is dropped": (saved(rgba(), "PNG"), PIXELS),
    "PNG with a palette": (saved(PALETTE, "PNG"), PALETTE_PIXELS),
    "PNG with a palette and transparency": (saved(PALETTE, "PNG", transparency=b"\x00\x80\xff\x10"), PALETTE_PIXELS),
    "grey PNG": (saved(Image.fromarray(GREY), "PNG"), np.repeat(GREY[:, :, None], 3, axis=2)),
    "16-bit grey PNG, high byte": (DEEP, deep_grey_pixels(DEEP)),
    "16-bit RGB PNG": (png(20, 10, 16, 2, DEEP_RGB), PIXELS),
    "APNG, first frame": (saved(rgb(), "PNG", save_all=True, append_images=[OTHER]), PIXELS),
    "BMP": (saved(rgb(), "BMP"), PIXELS),
    "TIFF": (saved(rgb(), "TIFF"), PIXELS),
    "TIFF, LZW": (saved(rgb(), "TIFF", compression="tiff_lzw"), PIXELS),
    "TIFF, floating point": (saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"), np.repeat(GREY[:, :, None], 3, axis=2)),
    "PPM": (saved(rgb(), "PPM"), PIXELS),
    "WebP, lossless": (saved(rgb(), "WEBP", lossless=True), PIXELS),
    "GIF": (saved(PALETTE, "GIF"), PALETTE_PIXELS),
}


@pytest.mark.parametrize("name", READABLE)
def test_readable(name):
    data, expected = READABLE[name]
    decoded = decode(data, SIZE)
    assert decoded.pixels.dtype == np.uint8
    assert not decoded.resized
    assert np.array_equal(decoded.pixels, expected)


def test_interlaced_png():
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2)
    raw = bytes([0, 0, 0, 1, 0, 2, 3])
    assert np.array_equal(decode(png(2, 2, 8, 0, raw, interlace=1), (2, 2)).pixels[:, :, 0], pixels)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy(form):
    assert decode(saved(Image.new("RGB", SIZE, (9, 99, 200)), form), SIZE).pixels.shape == (10, 20, 3)


def test_cmyk_jpeg():
    assert decode(saved(Image.new("CMYK", SIZE), "JPEG"), SIZE).pixels.min() == 255


def test_wrong_size_is_resized_bicubically():
    decoded = decode(encode_png(PIXELS), (7, 9))
    assert decoded.resized
    assert np.array_equal(decoded.pixels, np.asarray(rgb().resize((7, 9), Image.Resampling.BICUBIC)))


BOMB = png(30000, 30000, 8, 2, b"\0" * 1000)
WEBP_BOMB = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + b"\0" * 4 + b"\xfe\x3f\x00\xfe\x3f\x00" + b"\0" * 20
TEXT_BOMB = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20)))
UNREADABLE = {
    "empty": (b"", "empty"),
    "text": (b"hello", "not an image"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
    "ICO, a format that does not count": (saved(rgb(), "ICO", bitmap_format="bmp"), "not an image"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    "truncated PNG": (encode_png(PIXELS)[:400], "truncated"),
    "truncated in the header": (encode_png(PIXELS)[:20], None),
    "truncated JPEG": (saved(rgb(), "JPEG")[:-100], "truncated"),
    "truncated WebP": (saved(rgb(), "WEBP")[:-40], None),
    "truncated GIF": (saved(PALETTE, "GIF")[:-20], None),
    "PNG bomb": (BOMB, "pixels"),
    "just too many pixels": (png(2049, 2048, 8, 0, b""), "2049x2048 pixels are too many"),
    "WebP bomb": (WEBP_BOMB, "16383x16383 pixels are too many"),
    "no pixels at all": (png(0, 10, 8, 2, b""), None),
    "text chunk bomb": (encode_png(PIXELS)[:33] + TEXT_BOMB + encode_png(PIXELS)[33:], None),
    "PDF": (b"%PDF-1.4\n", "not an image"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable(name):
    data, words = UNREADABLE[name]
    with pytest.raises(UnreadableImageError, match=words) as caught:
        decode(data, SIZE)
    assert caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) <= 120


def test_file_of_too_many_bytes():
    with pytest.raises(UnreadableImageError, match="bytes"):
        decode(bytes(8 * pixel_limit(SIZE) + 1), SIZE)


def decode_or_refuse(data):
    with contextlib.suppress(UnreadableImageError):
        assert decode(data, SIZE).pixels.shape == (10, 20, 3)


@given(st.binary(max_size=300), st.sampled_from([data for data, _ in READABLE.values()] + [b"", BOMB, WEBP_BOMB]))
def test_any_bytes_are_pixels_or_unreadable(data, start):
    decode_or_refuse(data)
    decode_or_refuse(start[:16] + data)
    decode_or_refuse(start + data)


@given(st.data())
def test_any_damage_is_pixels_or_unreadable(data):
    whole = bytearray(data.draw(st.sampled_from([data for data, _ in READABLE.values()])))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8)):
        whole[place] = value
    decode_or_refuse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    decode_or_refuse(bytes(whole))


shapes = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.just(3))
batches = shapes.flatmap(lambda shape: st.tuples(hnp.arrays(np.uint8, shape), hnp.arrays(np.uint8, shape)))


@given(batches, st.integers(0, 255))
def test_enforce_is_the_formula(pair, epsilon):
    clean, adv = pair
    wide = clean.astype(int)
    expected = np.clip(adv.astype(int), np.maximum(wide - epsilon, 0), np.minimum(wide + epsilon, 255))
    result = enforce(clean, adv, epsilon)
    assert result.dtype == np.uint8
    assert np.array_equal(result, expected)
    assert linf(clean, result).max() <= epsilon
    assert np.array_equal(linf(clean, adv), np.abs(wide - adv).reshape(len(clean), -1).max(1))


@pytest.mark.parametrize("epsilon", [-1, 256])
def test_enforce_refuses_an_impossible_epsilon(epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        enforce(PIXELS, PIXELS, epsilon)


def test_enforce_refuses_other_shapes():
    with pytest.raises(ValueError, match="shape"):
        enforce(PIXELS, PIXELS[:1], 4)


@pytest.mark.parametrize("shape", [(1, 1, 3), (299, 299, 3), (3, 30000, 3), (32, 32, 3)])
def test_png_is_canonical(shape):
    pixels = RNG.integers(0, 256, shape, np.uint8)
    data = encode_png(pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    assert len(data) == len(encode_png(np.zeros_like(pixels)))
    assert data == encode_png(np.asfortranarray(pixels))
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
        assert image.info == {}


@pytest.mark.parametrize("pixels", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), np.uint8)])
def test_png_refuses(pixels):
    with pytest.raises(ValueError, match="uint8"):
        encode_png(pixels)


@given(batches, st.data())
def test_perturbation_round_trip(pair, data):
    clean, adv = pair
    produced = data.draw(hnp.arrays(np.bool_, len(clean)))
    back, flags = decode_perturbation(encode_perturbation(clean, adv, produced), clean)
    assert np.array_equal(flags, produced)
    assert np.array_equal(back[produced], adv[produced])
    assert np.array_equal(back[~produced], clean[~produced])


def small_batch():
    clean = RNG.integers(0, 256, (3, 4, 5, 3), np.uint8)
    return clean, np.flip(clean).copy(), np.array([True, False, True])


@given(st.data())
def test_damaged_perturbation_is_noticed(data):
    clean, adv, produced = small_batch()
    whole = bytearray(encode_perturbation(clean, adv, produced))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(whole), bytes(whole[:place]), data.draw(st.binary(max_size=100))):
        with pytest.raises(CorruptArtifactError):
            decode_perturbation(damaged, clean)


def test_perturbation_of_other_images_is_noticed():
    clean, adv, produced = small_batch()
    data = encode_perturbation(clean, adv, produced)
    for other in (adv, clean[:2], clean[:, :2]):
        with pytest.raises(CorruptArtifactError, match="other clean"):
            decode_perturbation(data, np.ascontiguousarray(other))


def test_pixel_digest():
    clean, adv, produced = small_batch()
    digest = pixel_digest(adv, produced)
    changed = adv.copy()
    changed[1] = 0
    assert pixel_digest(changed, produced) == digest
    changed[0, 0, 0, 0] ^= 1
    assert len({digest, pixel_digest(changed, produced), pixel_digest(adv, ~produced), pixel_digest(clean, produced)}) == 4
    assert pixel_digest(adv.reshape(3, 5, 4, 3), produced) != digest
