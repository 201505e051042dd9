"""Images from messages: each encoding against an implementation written from its definition, and whatever can be
wrong with one.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seg_perception.errors import InputError
from seg_perception.images import MAX_SIDE, decode_compressed, decode_image

Array = NDArray[Any]
ORDERS = ("rggb", "bggr", "gbrg", "grbg")

# ------------------------------------------------------------- the definitions, in numpy: rows of samples -> RGB


def picked(*channels: int) -> Callable[[Array], Array]:
    """The channels, in that order, of pixels that hold one more than the largest index given."""
    return lambda samples: np.stack([samples[..., c] for c in channels], axis=-1)


def bt601(samples: Array, first_luma: int) -> Array:
    """4:2:2 with limited range (ITU-R BT.601): two pixels share U and V; what is below black is black."""
    luma = np.maximum(samples[..., first_luma].astype(float) - 16, 0)
    chroma = samples[..., 1 - first_luma].astype(float) - 128
    u, v = np.repeat(chroma[:, 0::2], 2, axis=1), np.repeat(chroma[:, 1::2], 2, axis=1)
    y = 1.164 * luma
    rgb = np.stack([y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u], axis=-1)
    return np.asarray(np.clip(np.round(rgb), 0, 255))


def mosaic(picture: Array, order: str) -> Array:
    """What a sensor with this colour filter array sees of an RGB picture; ``order`` is its upper left 2x2, by row."""
    seen = np.zeros(picture.shape[:2], picture.dtype)
    for i, colour in enumerate(order):
        seen[i // 2 :: 2, i % 2 :: 2] = picture[i // 2 :: 2, i % 2 :: 2, "rgb".index(colour)]
    return seen


def bilinear(samples: Array, order: str) -> Array:
    """Bilinear demosaicing of the interior: the rounded mean of the nearest samples of each colour."""
    height, width = samples.shape
    out = np.zeros((height - 2, width - 2, 3), np.int64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            here = order[(y % 2) * 2 + x % 2]
            for channel, colour in enumerate("rgb"):
                if colour == here:
                    near = [samples[y, x]]
                elif here == "g":
                    beside = order[(y % 2) * 2 + (x + 1) % 2] == colour
                    near = [samples[y, x - 1], samples[y, x + 1]] if beside else [samples[y - 1, x], samples[y + 1, x]]
                elif colour == "g":
                    near = [samples[y - 1, x], samples[y + 1, x], samples[y, x - 1], samples[y, x + 1]]
                else:
                    near = [samples[y + j, x + i] for j in (-1, 1) for i in (-1, 1)]
                out[y - 1, x - 1, channel] = (sum(map(int, near)) + len(near) // 2) // len(near)
    return out


PLAIN: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "rgb8": (3, picked(0, 1, 2)),
    "bgr8": (3, picked(2, 1, 0)),
    "8UC3": (3, picked(2, 1, 0)),
    "rgba8": (4, picked(0, 1, 2)),
    "bgra8": (4, picked(2, 1, 0)),
    "8UC4": (4, picked(2, 1, 0)),
    "mono8": (1, picked(0, 0, 0)),
    "8UC1": (1, picked(0, 0, 0)),
}
YUV = {"yuv422": 1, "uyvy": 1, "yuv422_yuy2": 0, "yuyv": 0}


def padded(rows: Array, padding: int) -> tuple[int, bytes]:
    """Rows of bytes with ``padding`` bytes of rubbish after each: step and data."""
    rubbish = np.full((len(rows), padding), 0xA5, np.uint8)
    return rows.shape[1] + padding, np.hstack([rows, rubbish]).tobytes()


@st.composite
def pixels(draw: st.DrawFn, channels: int, least: int = 1, even: bool = False) -> Array:
    height, width = draw(st.integers(least, 9)), draw(st.integers(least, 9))
    width += width % 2 if even else 0
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


PADDING = st.integers(0, 17)


@pytest.mark.parametrize("encoding", PLAIN)
@settings(deadline=None)
@given(content=st.data(), padding=PADDING, big=st.booleans())
def test_plain_encodings(encoding: str, content: st.DataObject, padding: int, big: bool) -> None:
    channels, reference = PLAIN[encoding]
    samples = content.draw(pixels(channels))
    height, width = samples.shape[:2]
    step, data = padded(samples.reshape(height, -1), padding)
    image = decode_image(height, width, encoding, big, step, data)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, reference(samples))


@pytest.mark.parametrize("big", [False, True])
@settings(deadline=None)
@given(samples=pixels(2), padding=PADDING)
def test_mono16_keeps_the_upper_byte_in_either_order(big: bool, samples: Array, padding: int) -> None:
    height, width = samples.shape[:2]
    step, data = padded(samples.reshape(height, -1), padding)
    image = decode_image(height, width, "mono16", big, step, data)
    np.testing.assert_array_equal(image, samples[..., [0, 0, 0] if big else [1, 1, 1]])


@pytest.mark.parametrize("encoding", YUV)
@settings(deadline=None)
@given(samples=pixels(2, even=True), padding=PADDING)
def test_yuv(encoding: str, samples: Array, padding: int) -> None:
    height, width = samples.shape[:2]
    step, data = padded(samples.reshape(height, -1), padding)
    image = decode_image(height, width, encoding, False, step, data)
    assert np.abs(image - bt601(samples, YUV[encoding])).max() <= 1


@pytest.mark.parametrize("encoding", ["uyvy", "yuyv"])
def test_yuv_knows_red_from_blue(encoding: str) -> None:
    y, u, v = 81, 90, 240  # pure red
    group = [u, y, v, y] if encoding == "uyvy" else [y, u, y, v]
    image = decode_image(2, 4, encoding, False, 8, bytes(group * 4))
    np.testing.assert_allclose(image, np.broadcast_to([255, 0, 0], (2, 4, 3)), atol=2)


@pytest.mark.parametrize("order", ORDERS)
@settings(deadline=None)
@given(samples=pixels(1, least=3), padding=PADDING)
def test_bayer_is_bilinear(order: str, samples: Array, padding: int) -> None:
    height, width = samples.shape[:2]
    step, data = padded(samples.reshape(height, -1), padding)
    image = decode_image(height, width, f"bayer_{order}8", False, step, data)
    assert image.shape == (height, width, 3)
    np.testing.assert_array_equal(image[1:-1, 1:-1], bilinear(samples[..., 0], order))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("big", [False, True])
def test_bayer_sees_a_plain_colour(order: str, bits: int, big: bool) -> None:
    colour = np.array([200, 90, 10], np.uint8)
    seen = mosaic(np.broadcast_to(colour, (7, 8, 3)), order)
    if bits == 16:
        seen = ((seen.astype(np.uint16) << 8) | 0x7F).astype(">u2" if big else "<u2")
    image = decode_image(7, 8, f"bayer_{order}{bits}", big, 8 * bits // 8, seen.tobytes())
    np.testing.assert_array_equal(image, np.broadcast_to(colour, (7, 8, 3)))


@pytest.mark.parametrize("padding", [0, 7])
def test_rgb8_is_a_view(padding: int) -> None:
    step, content = padded(np.arange(48, dtype=np.uint8).reshape(4, 12), padding)
    data = bytearray(content)
    image = decode_image(4, 4, "rgb8", False, step, data)
    data[step + 3] = 99
    assert image[1, 1, 0] == 99
    assert image.base is not None


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda b: array("B", b), lambda b: np.frombuffer(b, np.uint8)]
)
def test_any_buffer_will_do(kind: Callable[[bytes], Any]) -> None:
    content = bytes(range(24))
    for encoding in ("rgb8", "bgr8"):
        image = decode_image(2, 4, encoding, False, 12, kind(content))
        np.testing.assert_array_equal(image, PLAIN[encoding][1](np.frombuffer(content, np.uint8).reshape(2, 4, 3)))
    png = encoded(".png", image)
    np.testing.assert_array_equal(decode_compressed("png", kind(png)), image)


@pytest.mark.parametrize(
    ("height", "width", "encoding", "step", "size", "complaint"),
    [
        (2, 4, "rgb8", 12, 23, "image of 4x2 rgb8: it holds 23 bytes, expected height x step = 2 x 12"),
        (2, 4, "rgb8", 12, 25, "it holds 25 bytes, expected height x step = 2 x 12"),
        (2, 4, "rgb8", 12, 0, "it holds 0 bytes, expected height x step = 2 x 12"),
        (2, 4, "rgb8", 11, 22, "its step is 11 bytes, expected at least 12"),
        (2, 4, "mono16", 4, 8, "its step is 4 bytes, expected at least 8"),
        (2, 4, "rgb8", 0, 0, "its step is 0 bytes, expected at least 12"),
        (0, 4, "rgb8", 12, 0, f"its size is 4x0, expected 1 to {MAX_SIDE} pixels on each side"),
        (2, 0, "rgb8", 0, 0, f"its size is 0x2, expected 1 to {MAX_SIDE} pixels on each side"),
        (2**32 - 1, 4, "rgb8", 12, 24, "its size is 4x4294967295, expected 1 to"),
        (2, MAX_SIDE + 1, "mono8", MAX_SIDE + 1, 2 * MAX_SIDE + 2, "its size is 16385x2"),
        (2, 4, "", 12, 24, "image encoding '' is not supported, expected one of rgb8, bgr8"),
        (2, 4, "RGB8", 12, 24, "image encoding 'RGB8' is not supported"),
        (2, 4, "32FC1", 16, 32, "image encoding '32FC1' is not supported"),
        (2, 3, "yuyv", 6, 12, "image of 3x2 yuyv: this encoding needs an even width"),
        (2, 4, "bayer_rggb8", 4, 8, "image of 4x2 bayer_rggb8: this encoding needs at least 3x3 pixels"),
    ],
)
def test_wrong_images_are_refused(height: int, width: int, encoding: str, step: int, size: int, complaint: str) -> None:
    with pytest.raises(InputError) as error:
        decode_image(height, width, encoding, False, step, bytes(size))
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1) | st.integers(0, 9),
    st.integers(0, 2**32 - 1) | st.integers(0, 9),
    st.sampled_from([*PLAIN, *YUV, "mono16", "bayer_rggb8", "bayer_grbg16", "16UC1"]),
    st.integers(0, 2**32 - 1) | st.integers(0, 40),
    st.binary(max_size=400),
)
def test_any_message_is_decoded_or_refused(height: int, width: int, encoding: str, step: int, data: bytes) -> None:
    try:
        shape: tuple[int, ...] = decode_image(height, width, encoding, False, step, data).shape
    except InputError:
        shape = (height, width, 3)
    assert shape == (height, width, 3)


# ---------------------------------------------------------------------------------------------- compressed


def encoded(suffix: str, rgb: Array, *flags: int) -> bytes:
    return bytes(cv2.imencode(suffix, rgb[..., ::-1] if rgb.ndim == 3 else rgb, list(flags))[1])


@pytest.fixture(scope="module")
def picture() -> Array:
    """A smooth picture whose channels differ."""
    y, x = np.mgrid[0:48, 0:64].astype(np.float32)
    return np.stack([4 * x, 5 * y, 255 - 4 * x], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("format", ["png", "rgb8; png compressed bgr8", ""])
def test_png_is_exact(picture: Array, format: str) -> None:
    np.testing.assert_array_equal(decode_compressed(format, encoded(".png", picture)), picture)


@pytest.mark.parametrize("format", ["jpeg", "jpg", "bgr8; jpeg compressed bgr8"])
def test_jpeg_has_red_and_blue_in_place(picture: Array, format: str) -> None:
    decoded = decode_compressed(format, encoded(".jpg", picture, cv2.IMWRITE_JPEG_QUALITY, 95))
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - picture).mean() < 3


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_becomes_rgb(picture: Array, suffix: str) -> None:
    decoded = decode_compressed("mono8; x", encoded(suffix, picture[..., 0]))
    assert np.abs(decoded.astype(int) - picture[..., :1]).max() <= 4


def test_alpha_is_dropped(picture: Array) -> None:
    with_alpha = np.dstack([picture[..., ::-1], np.full(picture.shape[:2], 7, np.uint8)])
    png = bytes(cv2.imencode(".png", with_alpha)[1])
    np.testing.assert_array_equal(decode_compressed("png", png), picture)


def test_progressive_jpegs_and_padding_are_fine(picture: Array) -> None:
    jpeg = encoded(".jpg", picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode_compressed("jpeg", jpeg + bytes(100)).shape == picture.shape


def test_exif_does_not_rotate(picture: Array) -> None:
    orientation_6 = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + orientation_6
    jpeg = encoded(".jpg", picture)
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    by_default = np.asarray(cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR))
    assert by_default.shape == (64, 48, 3)
    np.testing.assert_array_equal(decode_compressed("jpeg", turned), decode_compressed("jpeg", jpeg))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.3, 0.1, 0.05, 0.01])
def test_cut_off_files_are_refused(suffix: str, share: float) -> None:
    # Noise, so that most of the file is pixels and not headers.
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    content = encoded(suffix, noise)
    with pytest.raises(InputError, match=r"cut off|expected a jpeg or png"):
        decode_compressed("x", content[: int(len(content) * share)])


@settings(deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_no_cut_goes_unseen(position: int, jpeg: bool) -> None:
    content = encoded(".jpg" if jpeg else ".png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError):
        decode_compressed("x", content[: position % len(content)])


def png_of(width: int, height: int, bits: int = 8) -> bytes:
    """A PNG that says it has this size, and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose frame header says another size than it has."""
    content = bytearray(encoded(".jpg", np.zeros((8, 8, 3), np.uint8)))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize(
    ("format", "content", "complaint"),
    [
        ("jpeg", b"", "compressed image of format 'jpeg': found no data, expected a jpeg or png"),
        ("jpeg", bytes(1000), "found 1000 bytes that begin with 00 00 00 00, expected a jpeg or png"),
        ("tiff", b"II*\0" + bytes(9), "found 13 bytes that begin with 49 49 2a 00, expected a jpeg or png"),
        ("16UC1; compressedDepth png", png_of(8, 8), "this is a depth image, expected a colour image as jpeg or png"),
        ("16UC1; compressedDepth", b"", "this is a depth image"),
        ("png", encoded(".png", np.zeros((8, 8), np.uint16)), "the png has 16 bits per sample, expected 8"),
        ("png", png_of(2**31 - 1, 2**31 - 1), "its size is 2147483647x2147483647, expected 1 to 16384"),
        ("png", png_of(0, 8), "its size is 0x8, expected 1 to 16384"),
        ("png", png_of(800, 600), "bytes do not decode, expected 800x600 pixels"),
        ("png", png_of(8, 8).replace(b"\0\0\0\x09IDAT", b"\x7f\0\0\x09IDAT"), "the png is cut off or broken in its 66"),
        ("png", png_of(8, 8).replace(b"IHDR", b"IHDT"), "expected IHDR to IEND"),
        ("jpeg", jpeg_of(65500, 65500), "its size is 65500x65500, expected 1 to 16384"),
        ("jpeg", jpeg_of(8, 0), "its size is 8x0, expected 1 to 16384"),
        ("jpeg", b"\xff\xd8\xff\xd9", "the jpeg is cut off after 4 bytes, expected an end marker"),
    ],
)
def test_wrong_files_are_refused(format: str, content: bytes, complaint: str) -> None:
    with pytest.raises(InputError) as error:
        decode_compressed(format, content)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(st.sampled_from([".jpg", ".png"]), st.integers(0, 10**6), st.integers(1, 255))
def test_a_broken_byte_is_decoded_or_refused(suffix: str, position: int, flip: int) -> None:
    content = bytearray(encoded(suffix, np.full((8, 8, 3), 90, np.uint8)))
    content[position % len(content)] ^= flip
    try:
        assert decode_compressed("x", content).ndim == 3
    except InputError as error:
        assert "compressed image of format 'x'" in str(error)  # noqa: PT017
