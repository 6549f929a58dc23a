"""Decides, before any long work, which container holds the result and what becomes of each stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..domain.errors import InputRefused, InvalidSettings
from ..domain.plan import NO_DAMAGE, Damage
from ..domain.probe import OtherStream, ProbeReport
from ..domain.settings import Codec, Container

_MP4_AUDIO = {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac", "dts"}
# MP4 has one code for MPEG audio: readers take layer 2 for layer 3. Good enough only where MP4 was asked for.
_MP4_AUDIO_IF_ASKED = _MP4_AUDIO | {"mp2"}
# Codecs with a name in Matroska, or one by way of its Windows compatibility.
_MKV_AUDIO = {"aac", "ac3", "alac", "amr_nb", "amr_wb", "dts", "eac3", "flac", "mlp", "mp1", "mp2", "mp3", "opus"}
_MKV_AUDIO |= {"adpcm_ima_wav", "adpcm_ms", "truehd", "tta", "vorbis", "wavpack", "wmapro", "wmav1", "wmav2"}
_MKV_PCM = {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_u8"}
_MKV_PCM |= {"pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"}
# Samples in an order of bytes or a packing of their own (DVD, Blu-ray, broadcasts): the same samples in plain order.
_PLAIN_PCM = {"pcm_s8": "pcm_s16le", "pcm_s8_planar": "pcm_s16le", "pcm_s16le_planar": "pcm_s16le"}
_PLAIN_PCM |= {"pcm_s16be_planar": "pcm_s16le", "pcm_u16le": "pcm_s16le", "pcm_u16be": "pcm_s16le"}
_PLAIN_PCM |= {"pcm_dvd": "pcm_s24le", "pcm_bluray": "pcm_s24le", "s302m": "pcm_s24le", "pcm_s24daud": "pcm_s24le"}
_PLAIN_PCM |= {"pcm_s24le_planar": "pcm_s24le", "pcm_u24le": "pcm_s24le", "pcm_u24be": "pcm_s24le"}
_PLAIN_PCM |= {"pcm_s32le_planar": "pcm_s32le", "pcm_u32le": "pcm_s32le", "pcm_u32be": "pcm_s32le"}
_PLAIN_PCM |= {"pcm_f32be": "pcm_f32le", "pcm_f64be": "pcm_f64le"}
_LOSSLESS_AUDIO = "flac"
# What is missing of damaged sound becomes silence, so that the rest stays where it was.
FILL_GAPS = "aresample=async=1"
# Where times make no sense, one sample follows the other.
COUNT_SAMPLES = "asetpts=STARTPTS+N/SR/TB"
# FLAC of ffmpeg has at most 24 bits.
_FINER_THAN_FLAC = ("pcm_s32", "pcm_s64", "pcm_f32", "pcm_f64", "vorbis")
_SHOWN = {"flac": "FLAC", "mov_text": "mov_text", "srt": "SubRip"}
_MP4_SUBTITLES = {"mov_text"}
_STYLED_SUBTITLES = {"ass", "ssa"}
_TEXT_SUBTITLES = {"mov_text", "subrip", "srt", "webvtt", "text"} | _STYLED_SUBTITLES
_MKV_SUBTITLES = {"subrip", "srt", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "text"}
# What iTunes-style MP4 metadata has a place for. Other tags are kept as QuickTime keys, which ffmpeg (5.1 to 9) can
# only write instead of covers.
_MP4_TAGS = {"title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "track"}
_MP4_TAGS |= {"grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "disc"}
_MP4_TAGS |= {"episode_sort", "season_number", "media_type", "hd_video", "gapless_playback", "compilation"}
_MP4_TAGS |= {"creation_time", "location"}
# Flags of a track that only Matroska has a word for.
_MKV_FLAGS = {"original", "descriptions"}
# In MP4 the first chapter starts with the film, and what the last one is longer than the film the film seems to be.
_MP4_CHAPTER_GAP_S, _MP4_CHAPTER_EXCESS_S = 0.025, 0.5
# They describe the source's container, not the film.
CONTAINER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")
_IMAGES = {"mjpeg": ("image/jpeg", "cover.jpg"), "png": ("image/png", "cover.png")}
_IMAGES |= {"bmp": ("image/bmp", "cover.bmp"), "gif": ("image/gif", "cover.gif")}
_IMAGES |= {"webp": ("image/webp", "cover.webp"), "tiff": ("image/tiff", "cover.tiff")}
_MP4_COVERS = {"mjpeg", "png", "bmp"}


@dataclass(frozen=True)
class CarriedStream:
    """One source stream in the result.

    Attributes:
        stream: the source stream.
        codec: ``copy``, or the encoder that it is converted with where the container has no place for it: text
            subtitles to its own kind, sound to FLAC, samples in a packing of their own to plain PCM.
        repair: the filter for sound whose packets cannot be copied, so that what decodes of it is heard in its place.
    """

    stream: OtherStream
    codec: str = "copy"
    repair: str = ""

    @property
    def is_copied_sound(self) -> bool:
        """True for sound of which every packet stays as it is."""
        return self.codec == "copy" and self.stream.kind == "audio"

    def repaired(self, repair: str) -> CarriedStream:
        """The same sound decoded, by the filter ``repair``."""
        return CarriedStream(self.stream, _LOSSLESS_AUDIO, repair)


@dataclass(frozen=True)
class MuxPlan:
    """The container and the streams beside the video.

    Attributes:
        container: MP4 or MKV, decided.
        carried: streams in the result, in order.
        covers: cover pictures.
        attachments: fonts and the like (MKV only).
        left_out: what is lost because the container has no place for it, in words.
        converted: what is carried in another form, with all that it holds, in words.
        tag_keys: True where an MP4 keeps its tags as QuickTime keys.
    """

    container: Container
    carried: tuple[CarriedStream, ...]
    covers: tuple[OtherStream, ...]
    attachments: tuple[OtherStream, ...]
    left_out: tuple[str, ...]
    converted: tuple[str, ...] = ()
    tag_keys: bool = False

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person is told about the streams."""
        return self.left_out + self.converted

    @property
    def damaged(self) -> tuple[str, ...]:
        """Sound of which only a part is carried, in words."""
        return tuple(f"{carried.stream.label} is damaged" for carried in self.carried if carried.repair)


def plan_mux(report: ProbeReport, wanted: Container, codec: Codec = Codec.H264, damage: Damage = NO_DAMAGE) -> MuxPlan:
    """What the result holds: MP4 where every stream fits, else MKV, unless one is asked for.

    Args:
        report: of the source.
        wanted: the container that is asked for.
        codec: of the film in the result.
        damage: of the source's sound and subtitles, as far as it is known.

    Raises:
        InvalidSettings: MP4 is asked for with a codec that it cannot hold.
    """
    container = wanted
    if codec is Codec.FFV1:
        if wanted is Container.MP4:
            raise InvalidSettings(report.file_name, "MP4 cannot hold FFV1", "Use the container mkv, or another codec")
        container = Container.MKV
    elif wanted is Container.AUTO:
        own = [stream for stream in report.others if not stream.foreign]
        fits = all(_fits_mp4(stream) for stream in own) and not (_unusual_tags(report) and _has_cover(report))
        container = Container.MP4 if fits and _chapters_fit_mp4(report) else Container.MKV
    carried, covers, attachments, left_out, converted = [], [], [], [], []
    for stream in report.others:
        if stream.foreign or (stream.kind == "video" and not stream.cover):
            continue  # named by the probe already
        if stream.cover:
            covers.append(stream)
        elif stream.kind == "attachment" and container is Container.MKV:
            attachments.append(stream)
        elif stream.index in damage.hopeless:
            left_out.append(f"{stream.label} is damaged and cannot be carried; it is left out")
        elif stream.index in damage.decodable + damage.untimed:
            repair = FILL_GAPS if stream.index in damage.decodable else COUNT_SAMPLES
            carried.append(CarriedStream(stream).repaired(repair))
            converted.append(f"{stream.label} is damaged; what can be decoded of it is carried as FLAC")
        elif stream.kind in ("audio", "subtitle") and (how := _codec_in(container, stream)):
            carried.append(CarriedStream(stream, how))
            converted += _conversion(stream, how, container)
            if how != "copy" and stream.codec in _STYLED_SUBTITLES:
                left_out.append(f"the styles of {stream.label} are left out: {container.value.upper()} has none")
        elif stream.kind == "data" and (_is_chapter_track(stream, report) or _is_carried_timecode(stream, report)):
            continue
        else:
            left_out.append(f"{stream.label} cannot be carried into {container.value.upper()}")
    unusual = _unusual_tags(report) if container is Container.MP4 else []
    if unusual and covers:
        left_out.append(f"MP4 cannot hold tags of its own kind beside a cover: {', '.join(unusual)} left out")
    tag_keys = bool(unusual) and not covers
    return MuxPlan(
        container,
        tuple(carried),
        tuple(covers),
        tuple(attachments),
        left_out=tuple(left_out),
        converted=tuple(converted),
        tag_keys=tag_keys,
    )


def refuse_losses(report: ProbeReport, mux: MuxPlan) -> None:
    """Raise InputRefused where a stream, or a part of one, is left out or damaged."""
    lost = mux.left_out + mux.damaged
    if not lost:
        return
    other = "Use the container mkv, or" if mux.container is Container.MP4 else "Convert it"
    raise InputRefused(report.file_name, "; ".join(lost), f"{other} without 'strict'")


def cover_file(stream: OtherStream) -> tuple[str, str]:
    """(MIME type, file name) of a cover picture as a Matroska attachment."""
    return _IMAGES.get(stream.codec, ("image/jpeg", "cover.jpg"))


def _unusual_tags(report: ProbeReport) -> list[str]:
    """Names of the tags of the film that iTunes-style metadata has no place for."""
    known = {*_MP4_TAGS, *CONTAINER_TAGS}
    return [name for name in report.tags if name.lower().partition("-")[0] not in known]


def _has_cover(report: ProbeReport) -> bool:
    return any(stream.cover for stream in report.others)


def _fits_mp4(stream: OtherStream) -> bool:
    if _MKV_FLAGS & set(stream.dispositions):
        return False
    if stream.cover:
        return stream.codec in _MP4_COVERS
    if stream.kind == "audio":
        return stream.codec in _MP4_AUDIO
    if stream.kind == "subtitle":
        return stream.codec in _MP4_SUBTITLES
    # Data tracks and further videos fit neither container: they decide nothing.
    return stream.kind != "attachment"


def _chapters_fit_mp4(report: ProbeReport) -> bool:
    begins = max(0.0, float(report.start_time))
    late = report.chapters_from_s - begins > _MP4_CHAPTER_GAP_S
    length_s = report.duration_s if report.duration_s is not None else math.inf
    return not late and report.chapters_to_s - begins <= length_s + _MP4_CHAPTER_EXCESS_S


def _codec_in(container: Container, stream: OtherStream) -> str | None:
    """How the stream gets into the container; None if it cannot."""
    if stream.kind == "audio":
        native = _MKV_AUDIO | _MKV_PCM if container is Container.MKV else _MP4_AUDIO_IF_ASKED
        if stream.codec in native:
            return "copy"
        return (_PLAIN_PCM if container is Container.MKV else {}).get(stream.codec, _LOSSLESS_AUDIO)
    native = _MP4_SUBTITLES if container is Container.MP4 else _MKV_SUBTITLES
    if stream.codec in native:
        return "copy"
    if stream.codec in _TEXT_SUBTITLES:
        return "mov_text" if container is Container.MP4 else "srt"
    return None


def _conversion(stream: OtherStream, how: str, container: Container) -> list[str]:
    """What happens to a stream that is not copied, in words."""
    if how == "copy":
        return []
    words = f"{stream.label} is carried as {_SHOWN.get(how, how)}: {container.value.upper()} cannot hold it as it is"
    if how == _LOSSLESS_AUDIO and stream.codec.startswith(_FINER_THAN_FLAC):
        words += "; its samples are rounded to 24 bits"
    return [words]


def _is_chapter_track(stream: OtherStream, report: ProbeReport) -> bool:
    """QuickTime keeps chapter titles in a text track; the chapters themselves are carried."""
    return report.chapters > 0 and stream.codec_tag == "text"


def _is_carried_timecode(stream: OtherStream, report: ProbeReport) -> bool:
    """A timecode track repeats a tag of the video track, from which the result gets it."""
    return stream.codec_tag == "tmcd" and report.video.timecode is not None
