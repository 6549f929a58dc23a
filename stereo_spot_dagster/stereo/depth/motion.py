"""What the motion between two frames says about depth: dense flow, the camera's part of it, and parallax.

The camera model is the instantaneous motion field of a rigid scene (Longuet-Higgins and Prazdny 1980): a rotation,
whose field does not depend on depth, plus a translation, whose field is a known direction at each pixel times
inverse depth. The translation direction is searched by the residual across that direction, which does not depend on
depth either (the bilinear constraint of Bruss and Horn 1983), so no depth has to be known to find the camera.

Coordinates are centred and in picture widths, motion in picture widths per frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from .maps import Map

# DIS needs room for its 8-pixel patches on every level of its pyramid.
SMALLEST_FLOW_SIDE = 32
# Cells of the grid the camera is fitted on, along the longer side: enough to see a face, few enough to be quick.
FIT_CELLS = 32
# Flow of real footage is seldom better than this (pixels of the flow picture), nor than this share of the motion.
FLOW_NOISE_PX = 0.12
FLOW_NOISE_SHARE = 0.03
# Focal lengths tried, in picture widths: wide, normal, long. Only pans need one of them to be about right.
FOCAL_WIDTHS = (0.7, 1.1, 1.8, 4.0)
# How much the camera's rotation is asked to explain of the motion along the translation: breaks the tie between
# "the camera panned" and "everything is equally near", which the residual across cannot see.
ALONG_WEIGHT = 0.05


@dataclass(frozen=True)
class CameraMotion:
    """The camera's part of the motion between two frames.

    Attributes:
        rotation: ``[3]`` radians per frame about x, y and the optical axis, of the full model.
        pure_rotation: ``[3]``: the best rotation when the camera is assumed not to translate.
        direction: ``[3]`` unit vector of translation, sign unknown.
        focal_widths: focal length used.
        noise: motion below this (widths) means nothing.
        agree: share of the picture that ``pure_rotation`` explains, 0..1.
        agree_below: the same for the lowest third, where the ground is.
        agree_corners: the same for the upper corners, where the background is.
        explained: share of the rest that the full model explains, 0..1.
    """

    rotation: Map
    pure_rotation: Map
    direction: Map
    focal_widths: float
    noise: float
    agree: float
    agree_below: float
    agree_corners: float
    explained: float


class FlowEstimator:
    """Dense optical flow between gray pictures (DIS, Kroeger et al. 2016)."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._dis.setFinestScale(1)

    def between(self, gray: Map, other: Map) -> Map:
        """``[h, w, 2]`` float32: pixel (x, y) of ``gray`` is seen at (x, y) + flow in ``other``; both ``[h, w]``.

        Pictures too small for the method give zero flow.
        """
        if min(gray.shape) < SMALLEST_FLOW_SIDE:
            return np.zeros((*gray.shape, 2), np.float32)
        # A flow given here would be taken as a first guess, and the stubs do not know that there may be none.
        return self._dis.calc(gray, other, None)  # pyright: ignore[reportCallIssue, reportArgumentType]


def centred_grid(height: int, width: int) -> Map:
    """``[height, width, 2]`` float32: (x, y) of each pixel's centre, in picture widths from the middle."""
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / width
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / width
    return np.stack(np.meshgrid(x, y), axis=-1)


def fit_camera(
    motion: Map,
    weight: Map,
    flow_width_px: int,
    guess: Map | None = None,
) -> CameraMotion | None:
    """Fit the camera's motion to a motion field, whatever moves on its own in it.

    Args:
        motion: ``[h, w, 2]`` float32, picture widths per frame.
        weight: ``[h, w]`` float32, 0..1: how far each pixel's motion can be trusted.
        flow_width_px: width of the picture the flow was computed on, for its noise.
        guess: ``[3]`` direction of translation in the frame before.

    Returns:
        The fit, or None where too little of the picture can be trusted.
    """
    height, width = weight.shape
    scale = min(1.0, FIT_CELLS / max(height, width))
    cells = (max(4, round(width * scale)), max(4, round(height * scale)))
    trust = cv2.resize(weight, cells, interpolation=cv2.INTER_AREA)
    moved = cv2.resize(motion, cells, interpolation=cv2.INTER_AREA).reshape(-1, 2).astype(np.float64)
    place = centred_grid(cells[1], cells[0]).reshape(-1, 2).astype(np.float64)
    w = trust.reshape(-1).astype(np.float64)
    if w.mean() < 0.02:
        return None
    noise = FLOW_NOISE_PX / flow_width_px + FLOW_NOISE_SHARE * float(np.median(np.hypot(*moved.T)))
    pure = [_fit_rotation(place, moved, w, focal, noise) for focal in FOCAL_WIDTHS]
    best = int(np.argmin([cost for _, cost in pure]))
    focal, pure_rotation = FOCAL_WIDTHS[best], pure[best][0]
    candidates = _directions() if guess is None else np.concatenate([guess[None], _directions()])
    direction, rotation = _search_direction(place, moved, w, focal, noise, candidates, pure_rotation)
    off = np.hypot(*(moved - _rotation_field(place, pure_rotation, focal)).T)
    across = np.abs(_across(place, moved, direction, focal, rotation))
    agrees = off < 2 * noise
    below = place[:, 1] > place[:, 1].max() / 3
    corners = (place[:, 1] < place[:, 1].min() / 3) & (np.abs(place[:, 0]) > 0.25)
    rest = w * ~agrees
    return CameraMotion(
        rotation=rotation,
        pure_rotation=pure_rotation,
        direction=direction,
        focal_widths=focal,
        noise=noise,
        agree=float((w * agrees).sum() / w.sum()),
        agree_below=float((w * agrees * below).sum() / max(float((w * below).sum()), 1e-9)),
        agree_corners=float((w * agrees * corners).sum() / max(float((w * corners).sum()), 1e-9)),
        explained=float((rest * (across < 2 * noise)).sum() / max(float(rest.sum()), 1e-9)),
    )


def own_motion(motion: Map, grid: Map, camera: CameraMotion) -> Map:
    """``[h, w]`` float32, picture widths per frame: speed of each pixel beside a camera that only turns.

    Args:
        motion: ``[h, w, 2]`` float32, picture widths per frame.
        grid: ``[h, w, 2]``: :func:`centred_grid` of the same size.
        camera: the fit.
    """
    turned = _rotation_field(grid.reshape(-1, 2), camera.pure_rotation, camera.focal_widths).reshape(grid.shape)
    rest = motion - turned.astype(np.float32)
    return np.hypot(rest[..., 0], rest[..., 1])


def inverse_depth(motion: Map, grid: Map, camera: CameraMotion) -> tuple[Map, Map]:
    """Parallax as relative inverse depth, up to sign, scale and (for sideways motion) an offset.

    Args:
        motion: ``[h, w, 2]`` float32, picture widths per frame.
        grid: ``[h, w, 2]``: :func:`centred_grid` of the same size.
        camera: the fit.

    Returns:
        ``[h, w]`` float32 inverse depth, and ``[h, w]`` float32 in 0..1: how strongly translation moves a point
        there (0 at the focus of expansion).
    """
    turned = _rotation_field(grid.reshape(-1, 2), camera.rotation, camera.focal_widths).reshape(grid.shape)
    rest = motion - turned.astype(np.float32)
    toward = _translation_field(grid, camera.direction, camera.focal_widths).astype(np.float32)
    strength = np.square(toward[..., 0]) + np.square(toward[..., 1])
    floor = np.float32(0.02) * strength.max()
    along = rest[..., 0] * toward[..., 0] + rest[..., 1] * toward[..., 1]
    return along / (strength + floor), strength / (strength + floor)


def _translation_field(place: Map, direction: Map, focal: float) -> Map:
    return np.stack(
        [
            place[..., 0] * direction[2] - focal * direction[0],
            place[..., 1] * direction[2] - focal * direction[1],
        ],
        axis=-1,
    )


def _directions(count: int = 48) -> Map:
    """``[count + 4, 3]``: unit vectors spread over the forward hemisphere, and the sideways ones."""
    index = np.arange(count) + 0.5
    z = index / count
    around = np.pi * (1 + 5**0.5) * index
    side = np.sqrt(1 - z * z)
    spread = np.stack([side * np.cos(around), side * np.sin(around), z], axis=-1)
    diagonal = np.sqrt(0.5)
    sideways = np.array([[1.0, 0, 0], [0, 1.0, 0], [diagonal, diagonal, 0], [diagonal, -diagonal, 0]])
    return np.concatenate([sideways, spread, [[0.0, 0.0, 1.0]]])


def _search_direction(
    place: Map,
    moved: Map,
    weight: Map,
    focal: float,
    noise: float,
    candidates: Map,
    start: Map,
) -> tuple[Map, Map]:
    """The best direction among ``candidates``, refined by smaller and smaller steps, and the rotation with it."""
    costs = _direction_costs(place, moved, weight, focal, noise, candidates, start)
    best, lowest = candidates[int(np.argmin(costs))], float(costs.min())
    for step in (0.12, 0.06, 0.03):
        around = np.concatenate([best + step * np.eye(3), best - step * np.eye(3)])
        around /= np.linalg.norm(around, axis=1, keepdims=True)
        costs = _direction_costs(place, moved, weight, focal, noise, around, start)
        if costs.min() < lowest:
            best, lowest = around[int(np.argmin(costs))], float(costs.min())
    return best, _rotation_for(place, moved, weight, focal, noise, best, start, ALONG_WEIGHT)[0]


@njit(cache=True)
def _rotation_rows(x, y, focal):
    """The two rows of the rotational motion field at (x, y), by rotation about x, y and the optical axis."""
    return (x * y / focal, -(focal + x * x / focal), y), (focal + y * y / focal, -x * y / focal, -x)


@njit(cache=True)
def _rotation_field(place, rotation, focal):
    field = np.empty((place.shape[0], 2))
    for i in range(place.shape[0]):
        across, down = _rotation_rows(place[i, 0], place[i, 1], focal)
        field[i, 0] = across[0] * rotation[0] + across[1] * rotation[1] + across[2] * rotation[2]
        field[i, 1] = down[0] * rotation[0] + down[1] * rotation[1] + down[2] * rotation[2]
    return field


@njit(cache=True)
def _solve(matrix, right):
    """Solution of three equations by Cramer's rule: numba's own solver would need SciPy for this one small system."""
    columns = np.empty(3)
    a, b, c = matrix[0], matrix[1], matrix[2]
    minor_0 = b[1] * c[2] - b[2] * c[1]
    minor_1 = b[2] * c[0] - b[0] * c[2]
    minor_2 = b[0] * c[1] - b[1] * c[0]
    size = a[0] * minor_0 + a[1] * minor_1 + a[2] * minor_2
    columns[0] = right[0] * minor_0 + right[1] * (a[2] * c[1] - a[1] * c[2]) + right[2] * (a[1] * b[2] - a[2] * b[1])
    columns[1] = right[0] * minor_1 + right[1] * (a[0] * c[2] - a[2] * c[0]) + right[2] * (a[2] * b[0] - a[0] * b[2])
    columns[2] = right[0] * minor_2 + right[1] * (a[1] * c[0] - a[0] * c[1]) + right[2] * (a[0] * b[1] - a[1] * b[0])
    return columns / size


@njit(cache=True)
def _fit_rotation(place, moved, weight, focal, noise):
    """Rotation alone by reweighted least squares (Geman-McClure, scale shrinking to the noise), and its cost."""
    rotation = np.zeros(3)
    trust = weight.copy()
    scale = 0.0
    cost = 0.0
    for iteration in range(10):
        normal, right = np.eye(3) * 1e-9, np.zeros(3)
        for i in range(place.shape[0]):
            rows = _rotation_rows(place[i, 0], place[i, 1], focal)
            for k in range(2):
                for a in range(3):
                    right[a] += trust[i] * rows[k][a] * moved[i, k]
                    for b in range(3):
                        normal[a, b] += trust[i] * rows[k][a] * rows[k][b]
        rotation = _solve(normal, right)
        rest = moved - _rotation_field(place, rotation, focal)
        off = np.sqrt(rest[:, 0] ** 2 + rest[:, 1] ** 2)
        scale = max(noise, 1.5 * np.median(off)) if iteration == 0 else max(noise, 0.7 * scale)
        cost = 0.0
        for i in range(place.shape[0]):
            ratio = (off[i] / scale) ** 2
            trust[i] = weight[i] / (1 + ratio) ** 2
            cost += weight[i] * ratio / (1 + ratio)
    return rotation, cost


@njit(cache=True)
def _across(place, moved, direction, focal, rotation):
    """Motion across the direction in which translation would move each point, after the rotation."""
    rest = moved - _rotation_field(place, rotation, focal)
    result = np.empty(place.shape[0])
    for i in range(place.shape[0]):
        toward_x = place[i, 0] * direction[2] - focal * direction[0]
        toward_y = place[i, 1] * direction[2] - focal * direction[1]
        length = np.sqrt(toward_x * toward_x + toward_y * toward_y) + 1e-9
        result[i] = (rest[i, 1] * toward_x - rest[i, 0] * toward_y) / length
    return result


@njit(cache=True)
def _rotation_for(place, moved, weight, focal, noise, direction, start, along_weight):
    """Rotation that leaves the least motion across ``direction``'s field, and what is left."""
    rotation = start.copy()
    cost = 0.0
    for _ in range(4):
        across = _across(place, moved, direction, focal, rotation)
        normal, right = np.eye(3) * 1e-9, np.zeros(3)
        cost = 0.0
        for i in range(place.shape[0]):
            ratio = (across[i] / noise) ** 2
            cost += weight[i] * ratio / (1 + ratio)
            trust = weight[i] / (1 + ratio) ** 2
            toward_x = place[i, 0] * direction[2] - focal * direction[0]
            toward_y = place[i, 1] * direction[2] - focal * direction[1]
            length = np.sqrt(toward_x * toward_x + toward_y * toward_y) + 1e-9
            unit_x, unit_y = toward_x / length, toward_y / length
            row_x, row_y = _rotation_rows(place[i, 0], place[i, 1], focal)
            for part in range(2):
                share = trust if part == 0 else trust * along_weight * along_weight
                to_x, to_y = (-unit_y, unit_x) if part == 0 else (unit_x, unit_y)
                value = to_x * moved[i, 0] + to_y * moved[i, 1]
                for a in range(3):
                    row_a = to_x * row_x[a] + to_y * row_y[a]
                    right[a] += share * row_a * value
                    for b in range(3):
                        normal[a, b] += share * row_a * (to_x * row_x[b] + to_y * row_y[b])
        rotation = _solve(normal, right)
    return rotation, cost


@njit(cache=True)
def _direction_costs(place, moved, weight, focal, noise, candidates, start):
    costs = np.empty(candidates.shape[0])
    for k in range(candidates.shape[0]):
        costs[k] = _rotation_for(place, moved, weight, focal, noise, candidates[k], start, 0.05)[1]
    return costs
