"""Moving synthetic scenes with exact depth, both eyes and the occlusions between them.

A scene is a set of textured axis-aligned surfaces (ground, sky, hills, boxes, figures) seen by a pinhole camera.
World axes: X right, Y down, Z ahead, metres; the camera stands at the origin of Y, the ground below it. Each pixel
is a ray cast at all surfaces, so depth order is exact, and the right eye is a second camera beside the first with a
shifted sensor: that makes its disparity exactly ``divergence/100 * W * (depth - convergence)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

GROUND_Y = 1.5
SKY_Z = 1000.0
NEAR_LIMIT = 0.05
TEXTURE_SIZE = 256
INFINITE = 1e9
RECTANGLE, ELLIPSE = 0, 1
AXIS_X, AXIS_Y, AXIS_Z = 0, 1, 2


@dataclass(frozen=True)
class Stereo:
    """Where the right eye stands: largest disparity in percent of the width, and the depth of the screen plane."""

    divergence_pct: float = 2.0
    convergence: float = 0.5

    def disparity_px(self, depth: NDArray[np.float32], width: int) -> NDArray[np.float32]:
        """Disparity in pixels of ``depth`` (0..1, 1 = nearest) for a picture ``width`` pixels wide."""
        return np.asarray(self.divergence_pct / 100 * width * (depth - self.convergence), dtype=np.float32)


@dataclass(frozen=True)
class Surface:
    """A flat textured patch with one constant world coordinate.

    Attributes:
        axis: which coordinate is constant: 0 = X, 1 = Y, 2 = Z.
        at: its value at frame 0, metres.
        first: (low, high) of the first other coordinate (in X, Y, Z order), metres.
        second: (low, high) of the other one.
        texture: index of its texture.
        texels_per_m: texture resolution.
        shape: ``RECTANGLE``, or ``ELLIPSE`` inscribed in it.
        velocity: metres per frame along X, Y, Z.
    """

    axis: int
    at: float
    first: tuple[float, float]
    second: tuple[float, float]
    texture: int
    texels_per_m: float = 60.0
    shape: int = RECTANGLE
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def row(self, frame: int) -> list[float]:
        """The patch at ``frame``, as the ray caster wants it."""
        moved = [step * frame for step in self.velocity]
        along = moved.pop(self.axis)
        low_first, high_first = (edge + moved[0] for edge in self.first)
        low_second, high_second = (edge + moved[1] for edge in self.second)
        place = [self.axis, self.at + along, low_first, high_first, low_second, high_second]
        return [*place, self.shape, self.texture, self.texels_per_m, moved[0], moved[1]]


@dataclass(frozen=True)
class Pose:
    """The camera in one frame: position in metres, pan to the right in radians."""

    x: float = 0.0
    z: float = 0.0
    pan_rad: float = 0.0


@dataclass(frozen=True)
class Shot:
    """One take: what stands where, and how the camera moves.

    Attributes:
        surfaces: everything that can be seen; a sky or backdrop must close the view.
        path: camera pose of each frame.
        focal_widths: focal length in picture widths.
        textures: ``[N, 256, 256, 3]`` float32, 0..255, tiling.
    """

    surfaces: tuple[Surface, ...]
    path: tuple[Pose, ...]
    focal_widths: float
    textures: NDArray[np.float32]


@dataclass(frozen=True)
class RenderedClip:
    """What the camera saw, and the truth about it.

    Attributes:
        left: ``[T, H, W, 3]`` uint8 RGB.
        right: same, from the right eye.
        depth: ``[T, H, W]`` float32 of the left view, 0..1 over the shot, proportional to 1/z plus a constant.
        disparity_px: ``[T, H, W]`` float32 of the left view: left column x is seen at right column x - disparity.
        right_disparity_px: ``[T, H, W]`` float32 of what each pixel of the right view shows.
        occlusion: ``[T, H, W]`` bool: pixels of the right view that the left view does not show.
        scene_start: ``[T]`` bool: first frame of each shot.
    """

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    depth: NDArray[np.float32]
    disparity_px: NDArray[np.float32]
    right_disparity_px: NDArray[np.float32]
    occlusion: NDArray[np.bool_]
    scene_start: NDArray[np.bool_]


def render(
    name: str, width: int = 256, height: int = 144, frames: int = 16, seed: int = 0, stereo: Stereo | None = None
) -> RenderedClip:
    """Render the scene called ``name``, one of :data:`SCENES`; the same arguments give the same bytes."""
    shots = SCENES[name](frames, seed)
    clips = [_render_shot(shot, width, height, stereo or Stereo()) for shot in shots]
    fields = list(RenderedClip.__dataclass_fields__)
    return RenderedClip(**{field: np.concatenate([getattr(clip, field) for clip in clips]) for field in fields})


def _render_shot(shot: Shot, width: int, height: int, stereo: Stereo) -> RenderedClip:
    focal_px = shot.focal_widths * width
    mips = _mip_levels(shot.textures)
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    center = ((width - 1) / 2, (height - 1) / 2)

    def see(frame: int, offset_m: float, x_px: NDArray[np.float64], samples: int) -> _View:
        pose = shot.path[frame]
        patches = np.array([surface.row(frame) for surface in shot.surfaces])
        eye = np.array(
            [pose.x + offset_m * np.cos(pose.pan_rad), pose.z - offset_m * np.sin(pose.pan_rad), pose.pan_rad]
        )
        return _View(*_cast(patches, mips, eye, x_px - center[0], rows - center[1], focal_px, samples))

    views = [see(frame, 0.0, columns, 2) for frame in range(len(shot.path))]
    inverse = np.stack([1 / view.z_m for view in views])
    far, near = float(inverse.min()), float(inverse.max())
    depth = ((inverse - far) / max(near - far, 1e-12)).astype(np.float32)
    # disparity = gain / z + shift: a baseline of gain / focal metres and a sensor shift in pixels.
    gain = stereo.divergence_pct / 100 * width / max(near - far, 1e-12)
    shift = -gain * far - stereo.divergence_pct / 100 * width * stereo.convergence
    right, right_disparity, occlusion = [], [], []
    for frame in range(len(shot.path)):
        view = see(frame, gain / focal_px, columns + shift, 2)
        disparity = gain / view.z_m + shift
        seen_at = columns + disparity
        from_left = see(frame, 0.0, seen_at, 1)
        hidden = from_left.z_m < view.z_m * (1 - 1e-6)
        right.append(view.rgb)
        right_disparity.append(disparity.astype(np.float32))
        occlusion.append(hidden | (seen_at < 0) | (seen_at > width - 1))
    return RenderedClip(
        left=np.stack([view.rgb for view in views]),
        right=np.stack(right),
        depth=depth,
        disparity_px=stereo.disparity_px(depth, width),
        right_disparity_px=np.stack(right_disparity),
        occlusion=np.stack(occlusion),
        scene_start=np.arange(len(shot.path)) == 0,
    )


@dataclass(frozen=True)
class _View:
    rgb: NDArray[np.uint8]
    z_m: NDArray[np.float64]


@njit(cache=True)
def _nearest_patch(patches, eye_x, eye_z, sin, cos, ray_u, ray_v):
    """(index, distance along the optical axis, texture u, texture v) of the first patch a ray meets."""
    direction = (ray_u * cos + sin, ray_v, cos - ray_u * sin)
    origin = (eye_x, 0.0, eye_z)
    best, best_t, best_u, best_v = -1, 1e30, 0.0, 0.0
    for index in range(patches.shape[0]):
        axis = int(patches[index, 0])
        if abs(direction[axis]) < 1e-12:
            continue
        t = (patches[index, 1] - origin[axis]) / direction[axis]
        if t < NEAR_LIMIT or t >= best_t:
            continue
        first = 1 if axis == 0 else 0
        second = 1 if axis == 2 else 2
        a = origin[first] + t * direction[first]
        b = origin[second] + t * direction[second]
        low_a, high_a, low_b, high_b = patches[index, 2:6]
        if a < low_a or a > high_a or b < low_b or b > high_b:
            continue
        if patches[index, 6] == ELLIPSE:
            across = (2 * a - low_a - high_a) / (high_a - low_a)
            along = (2 * b - low_b - high_b) / (high_b - low_b)
            if across * across + along * along > 1.0:
                continue
        best, best_t = index, t
        best_u, best_v = a - patches[index, 9], b - patches[index, 10]
    return best, best_t, best_u, best_v


@njit(cache=True)
def _sample(level, texture, u, v, out):
    """Add the bilinear sample of a tiling texture at (u, v) texels to ``out``."""
    size = level.shape[1]
    left, top = np.floor(u), np.floor(v)
    part_u, part_v = u - left, v - top
    x0, y0 = int(left) % size, int(top) % size
    x1, y1 = (x0 + 1) % size, (y0 + 1) % size
    for channel in range(3):
        upper = level[texture, y0, x0, channel] * (1 - part_u) + level[texture, y0, x1, channel] * part_u
        lower = level[texture, y1, x0, channel] * (1 - part_u) + level[texture, y1, x1, channel] * part_u
        out[channel] += upper * (1 - part_v) + lower * part_v


@njit(cache=True, parallel=True)
def _cast(patches, mips, eye, x_px, y_px, focal_px, samples):
    """Colour (mean of ``samples`` squared rays) and distance (at the pixel's centre) of each pixel."""
    height, width = x_px.shape
    rgb = np.zeros((height, width, 3), np.uint8)
    distance = np.zeros((height, width), np.float64)
    sin, cos = np.sin(eye[2]), np.cos(eye[2])
    for row in prange(height):
        total = np.zeros(3)
        for column in range(width):
            ray_u, ray_v = x_px[row, column] / focal_px, y_px[row, column] / focal_px
            distance[row, column] = _nearest_patch(patches, eye[0], eye[1], sin, cos, ray_u, ray_v)[1]
            total[:] = 0.0
            for sub in range(samples * samples):
                sub_u = ray_u + ((sub % samples + 0.5) / samples - 0.5) / focal_px
                sub_v = ray_v + ((sub // samples + 0.5) / samples - 0.5) / focal_px
                index, t, u, v = _nearest_patch(patches, eye[0], eye[1], sin, cos, sub_u, sub_v)
                if index < 0:
                    continue
                density = patches[index, 8]
                footprint = density * t / focal_px / samples
                level = int(min(max(np.ceil(np.log2(max(footprint, 1e-9))), 0.0), len(mips) - 1.0))
                scale = density / 2.0**level
                _sample(mips[level], int(patches[index, 7]), u * scale, v * scale, total)
            for channel in range(3):
                rgb[row, column, channel] = np.uint8(min(total[channel] / (samples * samples) + 0.5, 255.0))
    return rgb, distance


def _mip_levels(textures: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    levels = [textures]
    while levels[-1].shape[1] > 4:
        fine = levels[-1]
        halves = (fine[:, ::2, ::2], fine[:, 1::2, ::2], fine[:, ::2, 1::2], fine[:, 1::2, 1::2])
        levels.append(np.ascontiguousarray(sum(halves) / np.float32(4)))
    return tuple(levels)


def texture(rng: np.random.Generator, color: Iterable[float], contrast: float) -> NDArray[np.float32]:
    """A tiling ``[256, 256, 3]`` float32 texture around ``color``: octaves of smooth noise with equal strength."""
    size = TEXTURE_SIZE
    total = np.zeros((size, size, 3), np.float32)
    for cells in (4, 8, 16, 32, 64):
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32) * 0.4
        noise += rng.standard_normal((cells, cells, 1)).astype(np.float32)
        tiled = np.pad(noise, ((2, 2), (2, 2), (0, 0)), mode="wrap")
        scale = size // cells
        smooth = cv2.resize(tiled, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += smooth[2 * scale : 2 * scale + size, 2 * scale : 2 * scale + size]
    shaded = np.asarray(list(color), np.float32) + total * np.float32(contrast / 2.5)
    return np.clip(shaded, 0, 255).astype(np.float32)


SKY, HILLS, GROUND, FIRST_OBJECT, OBJECT_TEXTURES = 0, 1, 2, 3, 6


def _textures(rng: np.random.Generator) -> NDArray[np.float32]:
    sky = texture(rng, (190, 210, 235), 4)
    hills = texture(rng, rng.uniform(70, 130, 3), 25)
    ground = texture(rng, rng.uniform(70, 150, 3), 35)
    objects = [texture(rng, rng.uniform(30, 220, 3), 35) for _ in range(OBJECT_TEXTURES)]
    return np.stack([sky, hills, ground, *objects])


def _surroundings(rng: np.random.Generator) -> list[Surface]:
    wide = (-INFINITE, INFINITE)
    hill_tops = [-rng.uniform(1, 5) for _ in range(4)]
    hills = [
        Surface(AXIS_Z, 45.0 + 4 * i, (-70 + 35 * i, -30 + 35 * i), (top, GROUND_Y), HILLS, 8.0)
        for i, top in enumerate(hill_tops)
    ]
    return [
        Surface(AXIS_Z, SKY_Z, wide, wide, SKY, 0.3),
        Surface(AXIS_Y, GROUND_Y, wide, (-INFINITE, 80.0), GROUND, 40.0),
        Surface(AXIS_Z, 80.0, wide, (GROUND_Y - 1.2, GROUND_Y), HILLS, 8.0),
        *hills,
    ]


def _box(x: float, z: float, size: tuple[float, float, float], texture_index: int) -> list[Surface]:
    width, height, length = size
    across, upright, along = (x - width / 2, x + width / 2), (GROUND_Y - height, GROUND_Y), (z, z + length)
    return [
        Surface(AXIS_Z, z, across, upright, texture_index),
        Surface(AXIS_X, across[0], upright, along, texture_index),
        Surface(AXIS_X, across[1], upright, along, texture_index),
        Surface(AXIS_Y, upright[0], across, along, texture_index),
    ]


def _figure(x: float, z: float, height: float, texture_index: int, step_x: float = 0.0) -> list[Surface]:
    head, walk = height * 0.16, (step_x, 0.0, 0.0)
    shoulders = GROUND_Y - height + head
    body = Surface(AXIS_Z, z, (x - height * 0.13, x + height * 0.13), (shoulders, GROUND_Y), texture_index)
    face = Surface(AXIS_Z, z, (x - head / 2, x + head / 2), (shoulders - head, shoulders + 0.02), texture_index)
    return [replace(body, velocity=walk), replace(face, velocity=walk, shape=ELLIPSE)]


def _furnished(rng: np.random.Generator, boxes: int, figures: int) -> list[Surface]:
    """Ground, sky, hills, and things standing about inside the view, some near, some far."""
    surfaces = _surroundings(rng)
    for index in range(boxes + figures):
        z = float(rng.uniform(3.5, 6) if index % 2 else rng.uniform(7, 20))
        x = float(rng.uniform(-0.45, 0.45) * z)
        paint = FIRST_OBJECT + index % OBJECT_TEXTURES
        if index < boxes:
            size = (rng.uniform(0.5, 1.6), rng.uniform(0.5, 2.2), rng.uniform(0.3, 1.5))
            surfaces += _box(x, z, size, paint)
        else:
            surfaces += _figure(x, z, rng.uniform(1.5, 1.9), paint)
    return surfaces


def _take(frames: int, seed: int, pose_at: Callable[[int], Pose]) -> Shot:
    rng = np.random.default_rng(seed)
    textures = _textures(rng)
    surfaces = _furnished(rng, boxes=4, figures=2)
    path = tuple(pose_at(frame) for frame in range(frames))
    return Shot(tuple(surfaces), path, float(rng.uniform(0.8, 1.5)), textures)


def _sideways(frames: int, seed: int) -> list[Shot]:
    step = 0.05 if seed % 2 else -0.05
    return [_take(frames, seed, lambda frame: Pose(x=step * (frame - frames / 2)))]


def _dolly(frames: int, seed: int) -> list[Shot]:
    return [_take(frames, seed, lambda frame: Pose(z=min(0.06 * frame, 2.5)))]


def _pan(frames: int, seed: int) -> list[Shot]:
    return [_take(frames, seed, lambda frame: Pose(pan_rad=0.008 * (frame - frames / 2)))]


def _tracking(frames: int, seed: int) -> list[Shot]:
    """The camera moves sideways and pans back so that the middle distance stays in place."""
    return [_take(frames, seed, lambda frame: _orbit(0.05 * (frame - frames / 2)))]


def _orbit(x: float) -> Pose:
    return Pose(x=x, pan_rad=-x / 9.0)


def _still(frames: int, seed: int) -> list[Shot]:
    return [_take(frames, seed, lambda frame: Pose())]


def _walkers(frames: int, seed: int) -> list[Shot]:
    rng = np.random.default_rng(seed)
    textures = _textures(rng)
    surfaces = _furnished(rng, boxes=2, figures=0)
    for index in range(3):
        z = float(rng.uniform(3.5, 9))
        step = float(rng.uniform(0.03, 0.06) * (1 if index % 2 else -1))
        start = float(rng.uniform(-0.3, 0.3) * z - step * frames / 2)
        surfaces += _figure(start, z, rng.uniform(1.5, 1.9), FIRST_OBJECT + 2 + index, step)
    path = tuple(Pose() for _ in range(frames))
    return [Shot(tuple(surfaces), path, float(rng.uniform(0.8, 1.5)), textures)]


def _cut(frames: int, seed: int) -> list[Shot]:
    return [*_sideways(frames // 2, seed), *_dolly(frames - frames // 2, seed + 1000)]


SCENES: dict[str, Callable[[int, int], list[Shot]]] = {
    "sideways": _sideways,
    "dolly": _dolly,
    "tracking": _tracking,
    "walkers": _walkers,
    "pan": _pan,
    "cut": _cut,
    "still": _still,
}
