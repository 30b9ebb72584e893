"""Draw one picture of the digits data set: digits on a photograph-like scene.

Knows shapes and colours, and nothing of splits, files or COCO.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

# An ink pixel is one where the digit covers more than this share.
INK = 0.1
# The share of the smaller of two boxes that may lie in the other one.
MAX_OVERLAP = 0.1


def draw_image(
    rng: np.random.Generator,
    images: np.ndarray,
    image_size: Sequence[int],
    size_range: Sequence[float],
    ratio_range: Sequence[float],
    objects: Sequence[int],
) -> tuple[np.ndarray, list[tuple]]:
    """Draw one picture.

    A box of size s and ratio r has width s / sqrt(r) and height s * sqrt(r);
    s is log-uniform in ``size_range``, r is log-uniform in the part of
    ``ratio_range`` for which the box fits the image. Width and height are
    then rounded to whole px.

    Args:
        rng (numpy.random.Generator): Source of everything random.
        images (ndarray): (N, 8, 8) source digits, 0 (paper) to 16 (ink).
        image_size (tuple[int, int]): (width, height) of the picture, px.
        size_range (tuple[float, float]): Least and greatest size, px; some
            box of the greatest must fit the picture.
        ratio_range (tuple[float, float]): Least and greatest height / width.
        objects (tuple[int, int]): Least and greatest number of digits to
            place. Large ones are placed first and one that finds no room is
            left out, so a picture may hold fewer, but never none.

    Returns:
        tuple[ndarray, list[tuple]]: The picture, (height, width, 3) BGR
        uint8, and its digits as ``(index, box, alpha)``: the index into
        ``images``; the ink box (x, y, w, h), px; and the share (h, w) of each
        of its pixels that ink covers, in [0, 1].
    """
    canvas = _draw_scene(rng, *image_size)
    digits = []
    for x, y, w, h in _place_boxes(
        rng, image_size, size_range, ratio_range, objects
    ):
        index = int(rng.integers(len(images)))
        alpha, left, top = _draw_digit(images[index], w, h)
        h, w = alpha.shape
        x, y = x + left, y + top
        patch = canvas[y : y + h, x : x + w]
        patch += alpha[..., None] * (_ink_colour(rng, patch) - patch)
        digits.append((index, (x, y, w, h), alpha))
    return _photograph(rng, canvas), digits


def _place_boxes(rng, image_size, size_range, ratio_range, objects):
    """Draw boxes (x, y, w, h), whole px, that hardly overlap."""
    width, height = image_size
    count = rng.integers(objects[0], objects[1], endpoint=True)
    sizes = np.exp(rng.uniform(*np.log(size_range), count))
    placed = np.zeros((0, 4), dtype=int)
    # The large ones first: they are the ones that fail to find room.
    for size in np.sort(sizes)[::-1]:
        ratios = _fitting_ratios(size, image_size, ratio_range)
        root = math.exp(rng.uniform(*np.log(ratios)) / 2)
        w = min(max(round(size / root), 1), width)
        h = min(max(round(size * root), 1), height)
        x = rng.integers(width - w, size=200, endpoint=True)[:, None]
        y = rng.integers(height - h, size=200, endpoint=True)[:, None]
        px, py, pw, ph = placed.T
        shared_w = np.minimum(x + w, px + pw) - np.maximum(x, px)
        shared_h = np.minimum(y + h, py + ph) - np.maximum(y, py)
        shared = shared_w.clip(0) * shared_h.clip(0)
        free = shared <= MAX_OVERLAP * np.minimum(w * h, pw * ph)
        found = np.flatnonzero(free.all(axis=1))
        if len(found):
            box = [x[found[0], 0], y[found[0], 0], w, h]
            placed = np.vstack([placed, np.array(box, dtype=int)])
    return placed.tolist()


def _fitting_ratios(size, image_size, ratio_range):
    """The part of the ratio range whose boxes of this size fit the image."""
    width, height = image_size
    high = min(ratio_range[1], (height / size) ** 2)
    # Of the largest size that fits only one ratio does, and rounding may put
    # the lower end above it.
    return min(max(ratio_range[0], (size / width) ** 2), high), high


def _draw_digit(image, w, h):
    """Render one digit so that its ink fills w x h px.

    Returns:
        tuple[ndarray, int, int]: The ink's share of each pixel, cropped to
        the ink, and the columns and rows cropped at the left and the top.
    """
    field = np.pad(image, 1).astype(np.float32) / 16
    # Against its surroundings, a thin stroke stays whole and the small hole
    # of an 8 stays open; one threshold for all would lose one of the two.
    field += 3 * (field - cv2.GaussianBlur(field, (0, 0), 1.25))
    # Cubic enlargement and a soft threshold turn the 8x8 blocks into brush
    # strokes; the margin lets strokes at the border end round.
    field = cv2.resize(field, (160, 160), interpolation=cv2.INTER_CUBIC)
    field = cv2.GaussianBlur(field, (0, 0), 4)
    left, top, width, height = _bounds(field > 0.45)
    field = field[top : top + height, left : left + width]
    # Enlarge before the threshold, which keeps the outline smooth, and
    # shrink after it, which keeps what each pixel holds of a thin stroke.
    field = cv2.resize(field, (max(w, width), max(h, height)))
    stroke = np.clip((field - 0.4) / 0.1, 0, 1)
    alpha = cv2.resize(stroke, (w, h), interpolation=cv2.INTER_AREA)
    left, top, width, height = _bounds(alpha > INK)
    return alpha[top : top + height, left : left + width], left, top


def _bounds(mask):
    """The box (x, y, w, h) around the true pixels of a mask."""
    return cv2.boundingRect(mask.astype(np.uint8))


def _ink_colour(rng, patch):
    """A colour that can be read on the patch, (3,) float32."""
    luma = float(patch.mean())
    dark = rng.random() < np.clip((luma - 90) / 60, 0, 1)
    goal = rng.uniform(0, luma - 85) if dark else rng.uniform(luma + 85, 255)
    colour = goal + rng.normal(0, 35, 3)
    # Tinted, with the brightness that was asked for.
    return np.clip(colour - colour.mean() + goal, 0, 255).astype(np.float32)


def _draw_scene(rng, width, height):
    """Surfaces, clutter out of focus and clutter in focus; BGR float32."""
    base = rng.uniform(60, 190)
    palette = base + rng.normal(0, 28, (3, 1)) + rng.normal(0, 16, (3, 3))
    mix = [_cloud(rng, width, height)[..., None] for _ in range(2)]
    canvas = palette[0] + mix[0] * (palette[1] - palette[0])
    canvas += mix[1] * (palette[2] - palette[0])
    canvas = np.clip(canvas, 15, 225).astype(np.uint8)
    for sigma, number in ((rng.uniform(2, 6), 10), (0.7, 14)):
        for _ in range(rng.integers(number // 2, number, endpoint=True)):
            canvas = _add_clutter(rng, canvas)
        canvas = cv2.GaussianBlur(canvas, (0, 0), sigma)
    return canvas.astype(np.float32)


def _cloud(rng, width, height):
    """A smooth random texture in [0, 1], (height, width) float32."""
    total = np.zeros((height, width), np.float32)
    roughness = rng.uniform(0.5, 1.5)
    for cells in (2, 4, 8, 16, 32, 64):
        noise = rng.standard_normal((cells, cells), np.float32)
        total += cells**-roughness * cv2.resize(
            noise, (width, height), interpolation=cv2.INTER_CUBIC
        )
    return cv2.normalize(total, None, 0, 1, cv2.NORM_MINMAX)


def _add_clutter(rng, canvas):
    """Blend one shape in; none is one that reads as a whole digit."""
    height, width = canvas.shape[:2]
    x, y = rng.integers((width, height)).tolist()
    length = math.exp(rng.uniform(math.log(6), math.log(width / 2)))
    a, b = np.maximum(length * rng.uniform(0.3, 1, 2), 2).astype(int).tolist()
    angle = rng.uniform(0, 360)
    colour = canvas[y, x] + rng.normal(0, 32) + rng.normal(0, 14, 3)
    thick = int(rng.integers(1, 5, endpoint=True))
    ink = (np.clip(colour, 0, 255).tolist(), thick, cv2.LINE_AA)
    layer = canvas.copy()
    kind = rng.integers(5)
    if kind == 0:  # a blob
        full = (ink[0], cv2.FILLED, cv2.LINE_AA)
        cv2.ellipse(layer, (x, y), (a, b), angle, 0, 360, *full)
    elif kind == 1:  # an arc, too short to close to a 0
        end = rng.uniform(40, 130)
        cv2.ellipse(layer, (x, y), (a, b), angle, 0, end, *ink)
    elif kind == 2:  # a plate
        corners = cv2.boxPoints(((x, y), (2 * a, 2 * b), angle)).astype(int)
        cv2.fillPoly(layer, [corners], ink[0], cv2.LINE_AA)
    elif kind == 3:  # a wire through the whole picture, too long for a 1
        dx = int((width + height) * math.cos(math.radians(angle)))
        dy = int((width + height) * math.sin(math.radians(angle)))
        cv2.line(layer, (x - dx, y - dy), (x + dx, y + dy), *ink)
    else:  # a letter, of those that no digit looks like
        letter = rng.choice(list('AEFHKMNRWX'))
        font = int(rng.choice([cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_ITALIC]))
        start = (x - a // 2, y + a // 2)
        cv2.putText(layer, letter, start, font, a / 25, *ink)
    share = rng.uniform(0.4, 0.95)
    return cv2.addWeighted(layer, share, canvas, 1 - share, 0)


def _photograph(rng, canvas):
    """Light, lens and sensor: shading, blur and noise; BGR uint8."""
    height, width = canvas.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    slope = rng.uniform(-0.2, 0.2, 2).astype(np.float32)
    vignette = np.float32(rng.uniform(0, 0.12))
    light = 1 + slope[0] * x + slope[1] * y - vignette * (x**2 + y**2)
    canvas = canvas * light[..., None]
    canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.8))
    noise = rng.standard_normal(canvas.shape, np.float32)
    canvas += np.float32(rng.uniform(1, 7)) * noise
    return np.clip(canvas, 0, 255).astype(np.uint8)
