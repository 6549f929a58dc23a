from __future__ import annotations

from pathlib import Path

import pytest

from .films import HDR_COLOR, hdr, make_film, make_hdr_film, make_result, packed


class Gallery:
    """Films and good results of them, made once."""

    def __init__(self, folder: Path) -> None:
        self.films = {kind: make_film(folder / f"film.{kind}") for kind in ("mkv", "mp4")}
        self.films["hdr"] = make_hdr_film(folder / "hdr.mp4")
        self.good = {kind: make_result(self.films[kind], folder / f"good.{kind}") for kind in ("mkv", "mp4")}
        self.good["hdr"] = make_result(self.films["hdr"], folder / "good-hdr.mp4", *packed(color=HDR_COLOR), *hdr())


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return Gallery(tmp_path_factory.mktemp("gallery"))
