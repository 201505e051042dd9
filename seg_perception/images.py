"""From the bytes of an image message to an RGB array, without a copy where the encoding allows.

Encodings are those of ``sensor_msgs/image_encodings.hpp``. Whatever a camera can get wrong raises :class:`InputError`:
one sentence with what was found and what was expected, so that the caller can count it and take the next frame.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from seg_perception.errors import InputError
from seg_perception.types import UInt8Array

Bytes: TypeAlias = "bytes | bytearray | memoryview | array[int] | UInt8Array"
"""Contiguous bytes: what a message's ``data`` may be."""

MAX_SIDE = 16384
"""No camera has more pixels than this on a side; a message that says so is broken."""


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How a pixel lies in memory, and OpenCV's conversion to RGB (None: it is RGB). ``block`` is the smallest image,
    in pixels to a side, that the conversion is defined on, ``even`` whether the width must be even.
    """

    conversion: int | None
    channels: int
    sample_bytes: int = 1
    block: int = 1
    even: bool = False


# OpenCV names a Bayer pattern by the *second* row's second and third pixel, ROS by the first two rows from the corner:
# ROS's rggb is OpenCV's BG.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_UYVY = _Encoding(cv2.COLOR_YUV2RGB_UYVY, 2, even=True)
_YUYV = _Encoding(cv2.COLOR_YUV2RGB_YUY2, 2, even=True)
_BGR = _Encoding(cv2.COLOR_BGR2RGB, 3)
_BGRA = _Encoding(cv2.COLOR_BGRA2RGB, 4)
_GREY = _Encoding(cv2.COLOR_GRAY2RGB, 1)
_ENCODINGS = {
    "rgb8": _Encoding(None, 3),
    "bgr8": _BGR,
    "rgba8": _Encoding(cv2.COLOR_RGBA2RGB, 4),
    "bgra8": _BGRA,
    "mono8": _GREY,
    "mono16": _Encoding(cv2.COLOR_GRAY2RGB, 1, sample_bytes=2),
    # The OpenCV type names say nothing about colour; cv_bridge's users mean OpenCV's order.
    "8UC1": _GREY,
    "8UC3": _BGR,
    "8UC4": _BGRA,
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    **{f"bayer_{order}8": _Encoding(code, 1, block=3) for order, code in _BAYER.items()},
    **{f"bayer_{order}16": _Encoding(code, 1, sample_bytes=2, block=3) for order, code in _BAYER.items()},
}


def in_colour(encoding: str) -> bool:
    """Whether an encoding that :func:`decode_image` knows has colours; grey pictures, masks and depth have none."""
    layout = _ENCODINGS.get(encoding)
    return layout is not None and layout.conversion != cv2.COLOR_GRAY2RGB


def decode_image(height: int, width: int, encoding: str, is_bigendian: bool, step: int, data: Bytes) -> UInt8Array:
    """The pixels of a ``sensor_msgs/Image`` as ``(H, W, 3)`` uint8 RGB.

    For rgb8 the result is a view of ``data`` (read-only where ``data`` is), padded rows included. Of 16-bit samples,
    whose byte order is ``is_bigendian``'s, the upper 8 bits are kept. YUV is BT.601 with limited range. Raises
    :class:`InputError` for an unknown encoding, and for a size, step or amount of data that do not fit together.
    """
    said = f"image of {width}x{height} {encoding}"
    layout = _ENCODINGS.get(encoding)
    if layout is None:
        raise InputError(f"image encoding '{encoding}' is not supported, expected one of {', '.join(_ENCODINGS)}")
    _check_size(said, width, height)
    if min(width, height) < layout.block or (layout.even and width % 2):
        needed = "an even width" if layout.even else f"at least {layout.block}x{layout.block} pixels"
        raise InputError(f"{said}: this encoding needs {needed}")
    row = width * layout.channels * layout.sample_bytes
    if step < row:
        raise InputError(f"{said}: its step is {step} bytes, expected at least {row}")
    flat = np.frombuffer(data, np.uint8)
    if flat.size != height * step:
        raise InputError(f"{said}: it holds {flat.size} bytes, expected height x step = {height} x {step}")

    samples = flat.reshape(height, step)[:, :row]
    if layout.sample_bytes == 2:
        samples = (samples.view(">u2" if is_bigendian else "<u2") >> 8).astype(np.uint8)
    pixels = samples if layout.channels == 1 else samples.reshape(height, width, layout.channels)
    return pixels if layout.conversion is None else np.asarray(cv2.cvtColor(pixels, layout.conversion), np.uint8)


def decode_compressed(format: str, data: Bytes) -> UInt8Array:
    """The pixels of a ``sensor_msgs/CompressedImage`` (jpeg, or png with 8 bits) as ``(H, W, 3)`` uint8 RGB.

    ``format`` only tells depth images apart: the data say themselves whether they are jpeg or png. An orientation in
    the EXIF header is ignored, since the calibration belongs to the pixels as the sensor read them. Raises
    :class:`InputError` for anything else and for an image that is cut off; damage in the middle of a jpeg cannot be
    told from its content.
    """
    said = f"compressed image of format '{format}'"
    if "compresseddepth" in format.lower():
        raise InputError(f"{said}: this is a depth image, expected a colour image as jpeg or png")
    content = bytes(data)
    if content.startswith(b"\xff\xd8\xff"):
        width, height = _jpeg_size(said, content)
    elif content.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = _png_size(said, content)
    else:
        found = f"{len(content)} bytes that begin with {content[:4].hex(' ')}" if content else "no data"
        raise InputError(f"{said}: found {found}, expected a jpeg or png")
    _check_size(said, width, height)
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        picture = None
    if picture is None or picture.shape != (height, width, 3):
        raise InputError(f"{said}: the {len(content)} bytes do not decode, expected {width}x{height} pixels")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture), np.uint8)


def _check_size(said: str, width: int, height: int) -> None:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise InputError(f"{said}: its size is {width}x{height}, expected 1 to {MAX_SIDE} pixels on each side")


def _jpeg_size(said: str, content: bytes) -> tuple[int, int]:
    """Width and height from the frame header (ITU-T T.81, annex B); refuses a file without its end marker, of which
    OpenCV before 5 makes a picture that is grey from there on. Cameras may pad the end with zeros.
    """
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if not content.rstrip(b"\0").endswith(b"\xff\xd9"):
                break
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    raise InputError(f"{said}: the jpeg is cut off after {len(content)} bytes, expected an end marker")


def _png_size(said: str, content: bytes) -> tuple[int, int]:
    """Width and height from the header chunk; refuses 16 bits per sample, and a file whose chunks do not lead to the
    last one (OpenCV would first reserve whatever a broken chunk says it needs).
    """
    at, kind = 8, b""
    while at + 12 <= len(content) and kind != b"IEND":
        kind = content[at + 4 : at + 8]
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    if kind != b"IEND" or at > len(content) or content[12:16] != b"IHDR":
        raise InputError(f"{said}: the png is cut off or broken in its {len(content)} bytes, expected IHDR to IEND")
    if content[24] > 8:
        raise InputError(f"{said}: the png has {content[24]} bits per sample, expected 8")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
