"""System libraries and programs that packs and their packages need: how programs name them when they are missing, and
the package of Debian and Ubuntu that has each. The only place that knows this. Pure.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Sequence, Tuple

MOST = 12
"""Packages that are named, or installed, for one failure."""
_MOST_CHARS = 1 << 18
_DEVELOPMENT: Mapping[str, str] = {
    "build-essential": "cc c++ gcc g++ make clang x86_64-linux-gnu-gcc x86_64-linux-gnu-g++ aarch64-linux-gnu-gcc "
    "stdio.h stdlib.h limits.h iostream",
    "cargo": "cargo rustc",
    "cmake": "cmake",
    "default-libmysqlclient-dev": "mysqlclient mariadb libmariadb mysql.h mysql_config",
    "gfortran": "gfortran f95 f77",
    "libasound2-dev": "alsa alsa/asoundlib.h asound ALSA",
    "libaio-dev": "libaio.h aio",
    "libavcodec-dev": "libavcodec avcodec libavcodec/avcodec.h",
    "libavdevice-dev": "libavdevice avdevice libavdevice/avdevice.h",
    "libavfilter-dev": "libavfilter avfilter libavfilter/avfilter.h",
    "libavformat-dev": "libavformat avformat libavformat/avformat.h",
    "libavutil-dev": "libavutil avutil libavutil/avutil.h",
    "libbz2-dev": "bzip2 bzlib.h bz2 BZip2",
    "libcairo2-dev": "cairo cairo.h cairo/cairo.h py3cairo.h",
    "libdbus-1-dev": "dbus-1 dbus/dbus.h",
    "libegl1-mesa-dev": "egl EGL/egl.h EGL",
    "libffi-dev": "libffi ffi.h ffi",
    "libfreetype-dev": "freetype2 ft2build.h freetype Freetype",
    "libgdal-dev": "gdal gdal.h gdal-config",
    "libgeos-dev": "geos geos_c.h geos-config GEOS",
    "libgirepository1.0-dev": "gobject-introspection-1.0 girepository-1.0",
    "libgl1-mesa-dev": "gl GL/gl.h GL OpenGL",
    "libglfw3-dev": "glfw3 GLFW/glfw3.h",
    "libglib2.0-dev": "glib-2.0 gobject-2.0 gio-2.0 glib.h",
    "libgraphviz-dev": "libcgraph libgvc graphviz/cgraph.h cgraph",
    "libhdf5-dev": "hdf5 hdf5.h HDF5",
    "libheif-dev": "libheif libheif/heif.h heif",
    "libjack-dev": "jack jack/jack.h",
    "libjpeg-dev": "libjpeg jpeglib.h jpeg JPEG",
    "liblapack-dev": "lapack LAPACK",
    "liblzma-dev": "liblzma lzma.h lzma LibLZMA",
    "libmagickwand-dev": "MagickWand wand/MagickWand.h",
    "libopenblas-dev": "openblas cblas.h blas BLAS OpenBLAS",
    "libopenexr-dev": "OpenEXR ImfHeader.h",
    "libopenmpi-dev": "mpi.h mpicc mpi MPI",
    "libpng-dev": "libpng png.h png PNG",
    "libpotrace-dev": "potracelib.h potrace",
    "libpq-dev": "libpq libpq-fe.h pg_config pq PostgreSQL",
    "libsndfile1-dev": "sndfile sndfile.h",
    "libsox-dev": "sox.h",
    "libsqlite3-dev": "sqlite3.h sqlite3 SQLite3",
    "libssl-dev": "openssl libssl libcrypto openssl/ssl.h openssl/opensslv.h ssl crypto OpenSSL",
    "libswresample-dev": "libswresample swresample libswresample/swresample.h",
    "libswscale-dev": "libswscale swscale libswscale/swscale.h",
    "libtiff-dev": "libtiff-4 tiff.h tiffio.h tiff TIFF",
    "libusb-1.0-0-dev": "libusb-1.0 libusb.h",
    "libvips-dev": "vips vips/vips.h",
    "libx11-dev": "x11 X11/Xlib.h X11",
    "libxml2-dev": "libxml-2.0 libxml/xpath.h libxml/xmlversion.h xml2 xml2-config LibXml2",
    "libxslt1-dev": "libxslt libxslt/xslt.h xslt xslt-config",
    "meson": "meson",
    "ninja-build": "ninja",
    "pkg-config": "pkg-config pkgconf PkgConfig",
    "portaudio19-dev": "portaudio-2.0 portaudio.h portaudio PortAudio",
    "python3-dev": "Python.h pyconfig.h",
    "swig": "swig",
    "zlib1g-dev": "zlib zlib.h z ZLIB",
}
"""By package: what compilers (headers), pkg-config, CMake, the linker and shells call what is in it."""
_LIBRARIES: Mapping[str, str] = {
    "libEGL.so": "libegl1",
    "libGL.so": "libgl1",
    "libGLESv2.so": "libgles2",
    "libGLEW.so": "libglew-dev",
    "libGLU.so": "libglu1-mesa",
    "libGLX.so": "libglx0",
    "libICE.so": "libice6",
    "libMagickWand": "libmagickwand-dev",
    "libOSMesa.so": "libosmesa6",
    "libOpenGL.so": "libopengl0",
    "libSM.so": "libsm6",
    "libX11.so": "libx11-6",
    "libXext.so": "libxext6",
    "libXrender.so": "libxrender1",
    "libaio.so": "libaio1|libaio1t64",
    "libasound.so": "libasound2|libasound2t64",
    "libatomic.so": "libatomic1",
    "libavcodec.so": "ffmpeg",
    "libavdevice.so": "ffmpeg",
    "libavfilter.so": "ffmpeg",
    "libavformat.so": "ffmpeg",
    "libavutil.so": "ffmpeg",
    "libcairo.so": "libcairo2",
    "libdbus-1.so": "libdbus-1-3",
    "libespeak-ng.so": "libespeak-ng1",
    "libfluidsynth.so": "libfluidsynth3",
    "libgdk_pixbuf-2.0.so": "libgdk-pixbuf-2.0-0",
    "libgfortran.so": "libgfortran5",
    "libgio-2.0.so": "libglib2.0-0|libglib2.0-0t64",
    "libglfw.so": "libglfw3",
    "libglib-2.0.so": "libglib2.0-0|libglib2.0-0t64",
    "libgobject-2.0.so": "libglib2.0-0|libglib2.0-0t64",
    "libgomp.so": "libgomp1",
    "libgthread-2.0.so": "libglib2.0-0|libglib2.0-0t64",
    "libgtk-3.so": "libgtk-3-0|libgtk-3-0t64",
    "libheif.so": "libheif1",
    "libmagic.so": "libmagic1|libmagic1t64",
    "libmediainfo.so": "libmediainfo0v5|libmediainfo0t64",
    "libmpi.so": "libopenmpi3|libopenmpi3t64",
    "libnss3.so": "libnss3",
    "libnuma.so": "libnuma1",
    "libopenblas.so": "libopenblas0",
    "libpango-1.0.so": "libpango-1.0-0",
    "libpangocairo-1.0.so": "libpangocairo-1.0-0",
    "libportaudio.so": "libportaudio2",
    "libraqm.so": "libraqm0",
    "libsndfile.so": "libsndfile1",
    "libsox.so": "libsox3",
    "libtbb.so": "libtbb12",
    "libtcmalloc.so": "libgoogle-perftools4|libgoogle-perftools4t64",
    "libturbojpeg.so": "libturbojpeg0|libturbojpeg",
    "libusb-1.0.so": "libusb-1.0-0",
    "libvips.so": "libvips42|libvips42t64",
    "libxcb.so": "libxcb1",
    "libxkbcommon.so": "libxkbcommon0",
    "libzbar.so": "libzbar0|libzbar0t64",
}
"""By the name of a library's file: its package, and what newer releases call that."""
_PROGRAMS: Mapping[str, str] = {
    "aria2c": "aria2",
    "blender": "blender",
    "convert": "imagemagick",
    "curl": "curl",
    "dot": "graphviz",
    "espeak": "espeak-ng",
    "espeak-ng": "espeak-ng",
    "exiftool": "libimage-exiftool-perl",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "fluidsynth": "fluidsynth",
    "git": "git",
    "git-lfs": "git-lfs",
    "inkscape": "inkscape",
    "magick": "imagemagick",
    "mediainfo": "mediainfo",
    "node": "nodejs",
    "npm": "npm",
    "pdftoppm": "poppler-utils",
    "potrace": "potrace",
    "rubberband": "rubberband-cli",
    "sox": "sox",
    "tesseract": "tesseract-ocr",
    "unzip": "unzip",
    "wget": "wget",
    "wkhtmltopdf": "wkhtmltopdf",
    "xvfb-run": "xvfb",
    "7z": "p7zip-full|7zip",
}
_BY_WORDS: Mapping[str, str] = {
    r"PortAudio library not found": "libportaudio2",
    r"sndfile library not found": "libsndfile1",
    r"SoX could not be found": "sox",
    r"failed to find libmagic": "libmagic1|libmagic1t64",
    r"tesseract is not installed": "tesseract-ocr",
    r"[Uu]nable to (?:find zbar shared library|get page count\. Is poppler)": "libzbar0|libzbar0t64",
    r"MagickWand shared library not found": "libmagickwand-dev",
    r"espeak not installed on your system": "espeak-ng",
    r"git: 'lfs' is not a git command": "git-lfs",
    r"no library called \"(?:lib)?cairo": "libcairo2",
    r"no library called \"(?:lib)?pango": "libpango-1.0-0",
    r"Unknown compiler\(s\)|No CMAKE_CXX?_COMPILER could be found": "build-essential",
    r"Ninja is required to load C\+\+ extensions": "ninja-build",
    r"Rust compiler|Cargo, the Rust package manager, is not installed": "cargo",
    r"Could not find (?:[Ff]fmpeg|ffprobe)|No ffmpeg exe could be found": "ffmpeg",
    r"[Ff]fmpeg (?:is )?not (?:found|installed)": "ffmpeg",
    r"[Ee]xif[Tt]ool (?:is )?not (?:found|installed)": "libimage-exiftool-perl",
}
"""What programs say in words of their own."""
_WORD = r"(?P<name>[A-Za-z0-9][\w.+/-]{0,80}?)"
_FILE = re.compile(r"fatal error: '?%s'?:? (?:No such file or directory|file not found)" % _WORD)
_MODULE = re.compile(
    r"Package '?{0}'?,? (?:required by '[^']*', |was )?not found|No package '{0}' found|Dependency \"{0}\" not found|"
    r"pkg-config --(?:exists|cflags|libs) {0}' returned|Could NOT find {0} \(missing|cannot find -l{0}(?:[:\s]|$)|"
    r"library '{0}' not found|configuration file provided by \"{0}\"".replace("{0}", _WORD).replace("?P<name>", "")
)
_SEVERAL = re.compile(r"could not find libraries \[([^\]]{1,600})\]")
_SHARED = re.compile(
    r"(?P<name>lib[\w.+-]{1,60}?\.so[\w.]{0,12})(?:: cannot open shared object file|['\"]?: not found)|"
    r"(?:cannot load library|Could not load library) '(?P<other>lib[\w.+-]{1,60}?\.so[\w.]{0,12})'"
)
_PROGRAM = re.compile(
    r"(?:command '(?:[^'\s]*/)?{0}' failed: No such file|No such file or directory: b?'(?:[^']*/)?{0}'|"
    r"(?:^|[\s:]){0}: (?:command )?not found|Program '?{0}'? not found|unable to execute '?{0}'?: No such file|"
    r"(?:Unable to find|[Cc]ould not find|[Cc]annot find) (?:the )?'?{0}'?(?: executable| command| binary)|"
    r"{0} (?:must be installed|is not installed|was not found))".replace("{0}", _WORD).replace("?P<name>", ""),
    re.MULTILINE,
)


def _by_name() -> Dict[str, str]:
    return {name: package for package, names in _DEVELOPMENT.items() for name in names.split()}


_NAMED = _by_name()
_TOOLS = {
    **{
        name: package
        for package in ("build-essential", "cargo", "cmake", "gfortran", "meson", "ninja-build", "pkg-config", "swig")
        for name in _DEVELOPMENT[package].split()
    },
    **{name: package for name, package in _NAMED.items() if name.endswith(("_config", "-config", "mpicc"))},
    **_PROGRAMS,
}
PROGRAMS = frozenset(_PROGRAMS) | {"gfortran", "meson", "pkg-config", "swig"}
"""Programs, as shells call them, whose package is known."""
_WITH: Mapping[str, str] = {"libgl1": "libglib2.0-0|libglib2.0-0t64"}
"""What is hardly ever missing alone: OpenCV asks for the one, and then for the other."""


def packages_for(text: str) -> Tuple[str, ...]:
    """The packages that have what a program's output says is missing, at most `MOST`, each with the names that other
    releases have for it (`a|b`). What is not known is not guessed."""
    text = text[-_MOST_CHARS:]
    found: List[str] = [_NAMED[match.group("name")] for match in _FILE.finditer(text) if match.group("name") in _NAMED]
    for match in _MODULE.finditer(text):
        found += [_NAMED[name] for name in match.groups() if name in _NAMED]
    for names in _SEVERAL.findall(text):
        found += [_NAMED[name] for name in re.findall(r"[\w.+-]{1,60}", names) if name in _NAMED]
    for match in _SHARED.finditer(text):
        found += _of_library(match.group("name") or match.group("other"))
    for match in _PROGRAM.finditer(text):
        found += [_TOOLS[name] for name in match.groups() if name in _TOOLS]
    found += [package for words, package in _BY_WORDS.items() if re.search(words, text)]
    needed = list(dict.fromkeys([*found, *(_WITH[package] for package in found if package in _WITH)]))
    if any(package.endswith("-dev") for package in needed) and _MODULE.search(text):
        needed += [] if "pkg-config" in needed else ["pkg-config"]
    return tuple(needed[:MOST])


def _of_library(name: str) -> Sequence[str]:
    stem = re.split(r"(?<=\.so)", name)[0]
    package = _LIBRARIES.get(stem) or next((each for key, each in _LIBRARIES.items() if stem.startswith(key)), None)
    return [package] if package else []


def advice(text: str, unknown: str = "") -> str:
    """What to install, as the end of a sentence. `unknown`: the missing file, where no package is known."""
    found = [package.split("|")[0] for package in packages_for(text)]
    if found:
        return "apt-get install -y %s (or retry with system_packages set to install)" % " ".join(found)
    if unknown:
        return "the system package that contains it (apt-file search %s names it)" % unknown
    return "the system package that contains it"
